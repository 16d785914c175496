import Replay
struct AuditRenderer {
  var report: AuditReport
  var traits: TerminalTraits
  func table(by: [AuditDimension], curve: Bool) -> String { "" }
  var document: DocumentValue { .null }
  static var columns: [OutputColumn] { [] }
  var rows: [[CellValue]] { [] }
  static func callColumns(_ windows: [Range<Int>]) -> [OutputColumn] { [] }
  static func callRow(_ call: AuditCall) -> [CellValue] { [] }
  static var curveColumns: [OutputColumn] { [] }
  var curveRows: [[CellValue]] { [] }
}
