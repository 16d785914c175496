internal import RolloutLogs

/// The table of contents of a safetensors file: what lies where, checked against the file.
///
/// The format (github.com/huggingface/safetensors): eight bytes with the length of a JSON object, little-endian; the
/// object; the tensors' bytes, row-major. The ranges must cover the bytes behind the header without gap or overlap.
struct SafetensorsHeader {
  /// One tensor.
  struct Entry: Equatable {
    var name: String
    var elementType: ElementType
    var shape: [Int]
    /// Bytes, counted from the end of the header.
    var range: Range<Int>
  }

  /// The longest header that is read, as in the reference implementation.
  static let maxByteCount = 100_000_000

  /// In the order of their bytes.
  var entries: [Entry]
  var metadata: [(key: String, value: String)]
  /// Where the tensors' bytes begin in the file.
  var dataStart: Int

  /// Reads and checks the header of a whole file.
  /// - Throws: ``PolicyError`` with the code `malformed`, or `unsupported` for an element type that is not known.
  init(file bytes: UnsafeRawBufferPointer) throws(PolicyError) {
    guard bytes.count >= 8 else { throw Self.malformed("shorter than the eight bytes of a header length") }
    let announced = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard announced <= Self.maxByteCount else {
      throw Self.malformed("announces a header of \(announced) bytes; at most \(Self.maxByteCount) are read")
    }
    let length = Int(announced)
    guard length <= bytes.count - 8 else {
      throw Self.malformed("announces a header of \(length) bytes, but only \(bytes.count - 8) follow")
    }
    dataStart = 8 + length
    let root = try SmallJSON.parse(UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart]), "the header")
    guard let members = root.members else { throw Self.malformed("the header is not a JSON object") }
    entries = []
    metadata = []
    let dataCount = bytes.count - dataStart
    for member in members {
      if member.key == "__metadata__" {
        metadata = try Self.metadata(member.value)
      } else {
        entries.append(try Self.entry(member.key, member.value, dataCount))
      }
    }
    entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    var covered = 0
    for entry in entries {
      guard entry.range.lowerBound == covered else {
        throw Self.malformed(
          entry.range.lowerBound < covered
            ? "\(Self.quoted(entry.name)) overlaps the tensor before it"
            : "bytes \(covered)..<\(entry.range.lowerBound) belong to no tensor")
      }
      covered = entry.range.upperBound
    }
    guard covered == dataCount else { throw Self.malformed("bytes \(covered)..<\(dataCount) belong to no tensor") }
  }

  private static func metadata(_ value: JSONValue) throws(PolicyError) -> [(key: String, value: String)] {
    guard let members = value.members else { throw malformed("__metadata__ is not an object") }
    var out: [(key: String, value: String)] = []
    for member in members {
      guard let text = member.value.string else {
        throw malformed("__metadata__ has a value that is not a string: \(quoted(member.key))")
      }
      out.append((member.key, text))
    }
    return out
  }

  private static func entry(_ name: String, _ value: JSONValue, _ dataCount: Int) throws(PolicyError) -> Entry {
    let shown = quoted(name)
    guard value.members != nil else { throw malformed("\(shown) is not an object") }
    guard let typeName = value["dtype"]?.string else { throw malformed("\(shown) has no dtype") }
    guard let type = ElementType(rawValue: typeName) else {
      throw PolicyError(.unsupported, "\(shown) has the element type \(quoted(typeName))")
    }
    guard let dimensions = value["shape"]?.array else { throw malformed("\(shown) has no shape") }
    var shape: [Int] = []
    var bytes = type.byteCount
    var overflows = false
    for dimension in dimensions {
      guard case .int(let n) = dimension, let size = Int(exactly: n), size >= 0 else {
        throw malformed("\(shown) has a dimension that is not a whole number from 0")
      }
      shape.append(size)
      let product = bytes.multipliedReportingOverflow(by: size)
      bytes = product.partialValue
      overflows = overflows || product.overflow
    }
    guard !overflows else { throw malformed("\(shown) has a shape whose size overflows") }
    guard let offsets = value["data_offsets"]?.array, offsets.count == 2, case .int(let low) = offsets[0],
      case .int(let high) = offsets[1]
    else { throw malformed("\(shown) has no data_offsets of two whole numbers") }
    guard low >= 0, high >= low, high <= dataCount else {
      throw malformed("\(shown) claims bytes \(low)..<\(high) of \(dataCount)")
    }
    guard high - low == bytes else {
      throw malformed("\(shown) has \(high - low) bytes, but \(typeName) \(shape) needs \(bytes)")
    }
    return Entry(name: name, elementType: type, shape: shape, range: Int(low)..<Int(high))
  }

  private static func malformed(_ message: String) -> PolicyError { PolicyError(.malformed, message) }

  /// A name out of a file, for a message: short and without control characters.
  static func quoted(_ name: String) -> String {
    let printable = name.unicodeScalars.prefix(121).map { scalar in
      scalar.properties.isWhitespace || scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
        ? " " : String(scalar)
    }
    return "'\(printable.prefix(120).joined())\(printable.count > 120 ? "…" : "")'"
  }
}

// MARK: Writing

extension SafetensorsHeader {
  /// Lays tensors out one behind the other, in the given order.
  init(
    layingOut tensors: [(name: String, elementType: ElementType, shape: [Int])],
    metadata: [(key: String, value: String)] = [("format", "pt")]
  ) {
    var offset = 0
    entries = tensors.map { tensor in
      let size = tensor.shape.reduce(tensor.elementType.byteCount, *)
      defer { offset += size }
      return Entry(
        name: tensor.name, elementType: tensor.elementType, shape: tensor.shape, range: offset..<(offset + size))
    }
    self.metadata = metadata
    dataStart = 0
    dataStart = encoded().count
  }

  /// The header's bytes with its length, padded by spaces to a multiple of eight.
  func encoded() -> [UInt8] {
    var members: [JSONValue.Member] = []
    if !metadata.isEmpty {
      let pairs = metadata.map { JSONValue.Member($0.key, .string($0.value)) }
      members.append(JSONValue.Member("__metadata__", .object(pairs)))
    }
    for entry in entries {
      let offsets: [JSONValue] = [.int(Int64(entry.range.lowerBound)), .int(Int64(entry.range.upperBound))]
      members.append(
        JSONValue.Member(
          entry.name,
          .object([
            .init("dtype", .string(entry.elementType.rawValue)),
            .init("shape", .array(entry.shape.map { .int(Int64($0)) })),
            .init("data_offsets", .array(offsets)),
          ])))
    }
    var json = Array(JSONValue.object(members).text().utf8)
    while json.count % 8 != 0 { json.append(UInt8(ascii: " ")) }
    return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
  }
}
