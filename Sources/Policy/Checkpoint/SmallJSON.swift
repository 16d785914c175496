internal import RolloutLogs

/// JSON files of a checkpoint, read whole and strictly: valid UTF-8 and no key twice, since readers differ in which one
/// of two they believe.
enum SmallJSON {
  /// The longest `config.json`, index or adapter config that is read.
  static let maxByteCount = 100_000_000

  /// Reads a file.
  static func read(_ path: String, maxByteCount: Int = Self.maxByteCount) throws(PolicyError) -> JSONValue {
    let file = try MappedFile(path: path)
    guard file.bytes.count <= maxByteCount else {
      throw PolicyError(.malformed, "\(file.bytes.count) bytes; at most \(maxByteCount) are read", path: path)
    }
    do throws(PolicyError) {
      return try parse(file.bytes, "the file")
    } catch {
      throw error.at(path)
    }
  }

  /// Reads bytes.
  /// - Parameter what: what the bytes are, for messages.
  static func parse(_ bytes: UnsafeRawBufferPointer, _ what: String) throws(PolicyError) -> JSONValue {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw PolicyError(.malformed, "\(what) is not valid UTF-8")
    }
    let value: JSONValue
    do throws(RecordError) {
      value = try JSONValue(parsing: text)
    } catch {
      let place = error.offset.map { " at byte \($0)" } ?? ""
      throw PolicyError(.malformed, "\(what) is no valid JSON: \(error.message)\(place)")
    }
    try refuseRepeatedKeys(value, what)
    return value
  }

  private static func refuseRepeatedKeys(_ value: JSONValue, _ what: String) throws(PolicyError) {
    switch value {
    case .array(let elements):
      for element in elements { try refuseRepeatedKeys(element, what) }
    case .object(let members):
      var seen: Set<String> = []
      seen.reserveCapacity(members.count)
      for member in members {
        guard seen.insert(member.key).inserted else {
          throw PolicyError(.malformed, "\(what) has the key \(SafetensorsHeader.quoted(member.key)) twice")
        }
        try refuseRepeatedKeys(member.value, what)
      }
    default: break
    }
  }
}
