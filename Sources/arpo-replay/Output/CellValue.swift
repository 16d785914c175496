import Replay

/// A value of a row.
enum CellValue: Sendable, Equatable {
  case null
  case int(Int)
  case double(Double)
  case text(String)
  case bool(Bool)
  /// A list of numbers: an array in JSON, and its text elsewhere.
  case numbers([Double])

  /// An integer, or null where there is none.
  static func integer(_ x: Int?) -> CellValue { x.map { .int($0) } ?? .null }

  /// A number, or null where there is none.
  static func number(_ x: Double?) -> CellValue { x.map { .double($0) } ?? .null }

  /// A text, or null where there is none.
  static func string(_ x: String?) -> CellValue { x.map { .text($0) } ?? .null }

  /// A truth value, or null where there is none.
  static func truth(_ x: Bool?) -> CellValue { x.map { .bool($0) } ?? .null }
}

extension CellValue {
  /// The value in JSON; a double that is not finite is null.
  var document: DocumentValue {
    switch self {
    case .null: .null
    case .int(let x): .int(x)
    case .double(let x): .double(x)
    case .text(let x): .string(x)
    case .bool(let x): .bool(x)
    case .numbers(let x): .array(x.map { .double($0) })
    }
  }

  /// The value as a CSV field: in full, null and doubles that are not finite empty.
  var csv: String {
    switch self {
    case .null: ""
    case .text(let x): csvField(x)
    case .double(let x): x.isFinite ? document.json : ""
    case .numbers: csvField(document.json)
    case .int, .bool: document.json
    }
  }

  /// The value as a person reads it.
  func cell(isCount: Bool, _ traits: TerminalTraits) -> TextTable.Cell {
    switch self {
    case .null: TextTable.Cell(traits.absent, .dim)
    case .int(let x): TextTable.Cell(isCount ? traits.grouped(x) : String(x))
    case .double(let x): TextTable.Cell(decimals(x))
    case .text(let x): TextTable.Cell(x)
    case .bool(let x): TextTable.Cell(x ? "true" : "false")
    // Tables cut long texts: what they show is enough to fill a line.
    case .numbers(let x):
      TextTable.Cell("[" + x.prefix(40).map { decimals($0) }.joined(separator: ", ") + (x.count > 40 ? ", " : "]"))
    }
  }

  /// Whether the value is set to the right.
  var isNumeric: Bool {
    switch self {
    case .int, .double: true
    case .null, .text, .bool, .numbers: false
    }
  }
}

/// A column of rows.
struct OutputColumn: Sendable, Equatable, ExpressibleByStringLiteral {
  var name: String
  /// Whether tables set the thousands of its integers apart.
  var isCount: Bool

  init(_ name: String, isCount: Bool = false) {
    self.name = name
    self.isCount = isCount
  }

  init(stringLiteral name: String) { self.init(name) }
}
