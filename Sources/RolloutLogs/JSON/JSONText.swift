extension JSONValue {
  /// The value as compact JSON text, keys in their order or sorted by bytes.
  ///
  /// Sorted, of a repeated key only the first stays, so that equal values have equal texts. `NaN` and the infinities,
  /// which JSON does not have, become null.
  public func text(sortedKeys: Bool = false) -> String {
    var out: [UInt8] = []
    write(to: &out, sortedKeys: sortedKeys)
    return String(decoding: out, as: UTF8.self)
  }

  /// A text as a JSON string, quotes included.
  static func quoted(_ text: String) -> String {
    var out: [UInt8] = []
    writeString(text, to: &out)
    return String(decoding: out, as: UTF8.self)
  }

  /// How many numbers inside are not finite: what `text` writes as null.
  var notFiniteCount: Int {
    switch self {
    case .double(let d): d.isFinite ? 0 : 1
    case .array(let elements): elements.reduce(0) { $0 + $1.notFiniteCount }
    case .object(let members): members.reduce(0) { $0 + $1.value.notFiniteCount }
    default: 0
    }
  }

  private func write(to out: inout [UInt8], sortedKeys: Bool) {
    switch self {
    case .null: out += "null".utf8
    case .bool(let b): out += (b ? "true" : "false").utf8
    case .int(let i): out += i.description.utf8
    case .double(let d): out += (d.isFinite ? d.description : "null").utf8
    case .string(let s): Self.writeString(s, to: &out)
    case .array(let elements):
      out.append(UInt8(ascii: "["))
      for (i, element) in elements.enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        element.write(to: &out, sortedKeys: sortedKeys)
      }
      out.append(UInt8(ascii: "]"))
    case .object(let members):
      out.append(UInt8(ascii: "{"))
      for (i, member) in (sortedKeys ? Self.sorted(members) : members).enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        Self.writeString(member.key, to: &out)
        out.append(UInt8(ascii: ":"))
        member.value.write(to: &out, sortedKeys: sortedKeys)
      }
      out.append(UInt8(ascii: "}"))
    }
  }

  private static func sorted(_ members: [Member]) -> [Member] {
    var seen: Set<String> = []
    // By bytes: the order of `String` follows Unicode's canonical equivalence and is not needed here.
    return members.filter { seen.insert($0.key).inserted }
      .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
  }

  private static func writeString(_ text: String, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
      case 0x0A: out += "\\n".utf8
      case 0x0D: out += "\\r".utf8
      case 0x09: out += "\\t".utf8
      case 0..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        out += "\\u00".utf8
        out += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      default: out.append(byte)
      }
    }
    out.append(UInt8(ascii: "\""))
  }
}
