/// A query that comes with the tool: a `.sql` file of this folder, embedded in the binary and usable with any SQLite
/// client.
public struct CannedQuery: Sendable {
  /// The name under which `arpo-replay query` runs it.
  public var name: String
  public var sql: String

  /// The comment at the head of the file: a title, then what the columns mean.
  public var comment: [String] {
    sql.split(separator: "\n", omittingEmptySubsequences: false).prefix { $0.hasPrefix("--") }.map {
      $0.dropFirst(2).trimmingPrefix(" ").description
    }
  }

  /// One line.
  public var title: String { comment.first ?? name }

  /// All queries, by name.
  public static let all: [CannedQuery] = [
    CannedQuery("attributions", PackageResources.attributions_sql),
    CannedQuery("credit", PackageResources.credit_sql),
    CannedQuery("disagreements", PackageResources.disagreements_sql),
    CannedQuery("evidence", PackageResources.evidence_sql),
    CannedQuery("forks", PackageResources.forks_sql),
    CannedQuery("groups", PackageResources.groups_sql),
    CannedQuery("quarantine", PackageResources.quarantine_sql),
    CannedQuery("tools", PackageResources.tools_sql),
  ]

  /// The query of that name.
  public static func named(_ name: String) -> CannedQuery? { all.first { $0.name == name } }

  private init(_ name: String, _ bytes: [UInt8]) {
    self.name = name
    sql = String(decoding: bytes, as: UTF8.self)
  }
}
