/// A JSON document in memory, for the formats whose records are small and irregular.
///
/// Objects keep the order of their keys and may repeat a key (the first one counts, as in `subscript`). `NaN`,
/// `Infinity` and `-Infinity`, which Python's `json.dumps` writes, are numbers here; a format decides what they mean.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object([Member])

  /// One key and its value.
  public struct Member: Sendable, Equatable {
    public var key: String
    public var value: JSONValue

    public init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// The value of an object's key; `nil` for other values, missing keys and null (absent and null mean the same).
  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    guard let value = members.first(where: { $0.key == key })?.value, value != .null else { return nil }
    return value
  }

  /// True if an object has the key, whatever its value.
  public func has(_ key: String) -> Bool {
    guard case .object(let members) = self else { return false }
    return members.contains { $0.key == key }
  }

  public var members: [Member]? { if case .object(let m) = self { m } else { nil } }
  public var array: [JSONValue]? { if case .array(let a) = self { a } else { nil } }
  public var string: String? { if case .string(let s) = self { s } else { nil } }
  public var bool: Bool? { if case .bool(let b) = self { b } else { nil } }
  /// A whole number; also a double without a fraction.
  public var int: Int? {
    switch self {
    case .int(let i): Int(exactly: i)
    case .double(let d): Int(exactly: d)
    default: nil
    }
  }
  /// Any number, `NaN` and the infinities included.
  public var double: Double? {
    switch self {
    case .int(let i): Double(i)
    case .double(let d): d
    default: nil
    }
  }

  /// The keys of an object, in order.
  public var keys: [String] { members?.map(\.key) ?? [] }
}
