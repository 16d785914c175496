import Replay

/// An audit as a page to read, as JSON, and as rows.
struct AuditRenderer {
  let report: AuditReport
  let traits: TerminalTraits

  /// The page for a person: one section a run, most important first.
  ///
  /// - Parameters:
  ///   - by: dimensions to show tables of, besides the tools.
  ///   - curve: whether to draw mean entropy by offset.
  func table(by: [AuditDimension] = [], curve: Bool = true) -> String {
    if report.runs.isEmpty { return "nothing to audit: no run was selected\n" }
    return report.runs.map { run in
      RunPage(report: report, run: run, traits: traits).text(by: by, curve: curve)
    }.joined(separator: "\n")
  }

  /// Everything the audit found, under the schema `arpo-replay/audit/1`.
  var document: DocumentValue { AuditDocument(report: report).value }

  /// Columns of ``rows``.
  static var columns: [OutputColumn] { AuditSummaryRows.columns }

  /// One row for each run, dimension, key and window.
  var rows: [[CellValue]] { report.runs.flatMap { AuditSummaryRows(report: report, run: $0).rows } }

  /// Columns of ``callRow(_:estimator:)``, for the windows of the audit's options.
  static func callColumns(_ windows: [Range<Int>]) -> [OutputColumn] { AuditCallRows.columns(windows: windows) }

  /// One tool result.
  ///
  /// - Parameter estimator: what its entropies were had by.
  static func callRow(_ call: AuditCall, estimator: Estimator? = nil) -> [CellValue] {
    AuditCallRows.row(call, estimator: estimator)
  }

  /// Columns of ``curveRows``.
  static var curveColumns: [OutputColumn] { AuditCurveRows.columns }

  /// One row for each curve and offset.
  var curveRows: [[CellValue]] { report.runs.flatMap(AuditCurveRows.rows) }
}

extension Range<Int> {
  /// The window as `a-b`.
  var windowKey: String { "\(lowerBound)-\(upperBound)" }
}

extension AuditReport {
  /// The window that pages show intervals for: the first 50 tokens, or the longest there is.
  var mainWindow: Int? {
    windows.firstIndex(of: 0..<50) ?? windows.indices.max { windows[$0].count < windows[$1].count }
  }
}
