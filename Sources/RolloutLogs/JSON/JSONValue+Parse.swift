extension JSONValue {
  /// Values in one document; more than that is an attack or a mistake, and would not fit in memory.
  static let maxNodes = 8_000_000

  /// The one JSON value in the bytes, which must be followed by `JSONCursor.padding` zero bytes.
  public static func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(RecordError) -> JSONValue {
    var cursor = JSONCursor(bytes)
    let value = try cursor.value()
    try cursor.expectEnd()
    return value
  }

  /// The one JSON value in a text.
  public init(parsing text: String) throws(RecordError) {
    var bytes = Array(text.utf8)
    let count = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: JSONCursor.padding))
    let result: Result<JSONValue, RecordError> = bytes.withUnsafeBufferPointer { all in
      Result { () throws(RecordError) in try JSONValue.parse(UnsafeBufferPointer(rebasing: all[..<count])) }
    }
    self = try result.get()
  }
}

extension JSONCursor {
  /// The next value as a document.
  mutating func value() throws(RecordError) -> JSONValue {
    var nodes = 0
    return try value(depth: 0, nodes: &nodes)
  }

  private mutating func value(depth: Int, nodes: inout Int) throws(RecordError) -> JSONValue {
    nodes += 1
    guard nodes <= JSONValue.maxNodes else {
      throw fail("more than \(JSONValue.maxNodes) values in a record", .tooLong)
    }
    switch peek() {
    case UInt8(ascii: "{"):
      guard depth < Self.maxDepth else { throw fail("nested deeper than \(Self.maxDepth)", .tooDeep) }
      try expect(UInt8(ascii: "{"))
      var members: [JSONValue.Member] = []
      var first = true
      while let key = try nextKey(first: &first) {
        let name = try decoded(key)
        members.append(JSONValue.Member(name, try value(depth: depth + 1, nodes: &nodes)))
      }
      return .object(members)
    case UInt8(ascii: "["):
      guard depth < Self.maxDepth else { throw fail("nested deeper than \(Self.maxDepth)", .tooDeep) }
      try expect(UInt8(ascii: "["))
      var elements: [JSONValue] = []
      var first = true
      while try nextElement(first: &first) { elements.append(try value(depth: depth + 1, nodes: &nodes)) }
      return .array(elements)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default:
      switch try number() {
      case .int(let i): return .int(i)
      case .double(let d): return .double(d)
      }
    }
  }

  private mutating func word(_ word: StaticString, _ value: JSONValue) throws(RecordError) -> JSONValue {
    for i in 0..<word.utf8CodeUnitCount where base[at + i] != word.utf8Start[i] { throw fail("expected a value") }
    move(to: at + word.utf8CodeUnitCount)
    return value
  }
}
