/// A JSON value whose objects keep their order.
public indirect enum DocumentValue: Sendable {
  case null
  case bool(Bool)
  case int(Int)
  /// Written as the shortest decimal that reads back; whole numbers below 10^15 without a point. Not finite: null.
  case double(Double)
  case string(String)
  case array([DocumentValue])
  case object([(String, DocumentValue)])

  /// A number, or null where there is none.
  public static func number(_ x: Double?) -> DocumentValue { x.map { .double($0) } ?? .null }

  /// An integer, or null where there is none.
  public static func integer(_ x: Int?) -> DocumentValue { x.map { .int($0) } ?? .null }

  /// A string, or null where there is none.
  public static func text(_ x: String?) -> DocumentValue { x.map { .string($0) } ?? .null }

  /// The value of a key of an object.
  public subscript(key: String) -> DocumentValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.0 == key }?.1
  }

  /// Writes the value as JSON without any white space.
  public func write(into out: inout some TextOutputStream) {
    switch self {
    case .null: out.write("null")
    case .bool(let x): out.write(x ? "true" : "false")
    case .int(let x): out.write(String(x))
    case .double(let x): out.write(Self.decimal(x))
    case .string(let x): Self.writeString(x, into: &out)
    case .array(let items):
      out.write("[")
      var separator = ""
      for item in items {
        out.write(separator)
        item.write(into: &out)
        separator = ","
      }
      out.write("]")
    case .object(let members):
      out.write("{")
      var separator = ""
      for (key, value) in members {
        out.write(separator)
        Self.writeString(key, into: &out)
        out.write(":")
        value.write(into: &out)
        separator = ","
      }
      out.write("}")
    }
  }

  /// The JSON text.
  public var json: String {
    var out = ""
    write(into: &out)
    return out
  }

  static func decimal(_ x: Double) -> String {
    guard x.isFinite else { return "null" }
    if x == x.rounded(), abs(x) < 1e15 { return String(Int(x)) }
    return "\(x)"
  }

  private static func writeString(_ s: String, into out: inout some TextOutputStream) {
    out.write("\"")
    if s.utf8.contains(where: { $0 < 0x20 || $0 == 0x22 || $0 == 0x5C }) {
      for c in s.unicodeScalars {
        switch c {
        case "\"": out.write("\\\"")
        case "\\": out.write("\\\\")
        case "\n": out.write("\\n")
        case "\r": out.write("\\r")
        case "\t": out.write("\\t")
        case _ where c.value < 0x20:
          let hex = String(c.value, radix: 16)
          out.write("\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex)
        default: out.write(String(c))
        }
      }
    } else {
      out.write(s)
    }
    out.write("\"")
  }
}

extension DocumentValue: Equatable {
  /// Equality that includes the order of keys.
  public static func == (a: DocumentValue, b: DocumentValue) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let x), .bool(let y)): x == y
    case (.int(let x), .int(let y)): x == y
    case (.double(let x), .double(let y)): x == y
    case (.string(let x), .string(let y)): x == y
    case (.array(let x), .array(let y)): x == y
    case (.object(let x), .object(let y)): x.count == y.count && zip(x, y).allSatisfy { $0.0 == $1.0 && $0.1 == $1.1 }
    default: false
    }
  }
}
