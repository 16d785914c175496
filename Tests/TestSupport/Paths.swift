public import Foundation

/// Folders that tests read, found from this file's own place in the checkout.
public enum TestPaths {
  public static let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  public static let fixtures = checkout.appending(path: "Fixtures")

  /// Folder with `analysis/` and `policy/`: `$ARPO_GOLDENS`, else the copies in Fixtures.
  public static var goldens: URL {
    if let given = ProcessInfo.processInfo.environment["ARPO_GOLDENS"] { return URL(filePath: given) }
    return ownGoldens
  }

  /// The project's own copies, for tests that know what is in them; tests that walk whatever is there take ``goldens``.
  public static let ownGoldens = fixtures.appending(path: "goldens")

  /// Logs that others wrote; `nil` where the folder is absent, and then the tests that need it are skipped.
  public static var realLogs: URL? {
    let url = checkout.deletingLastPathComponent().appending(path: "shared/real-logs")
    return FileManager.default.fileExists(atPath: url.path) ? url : nil
  }
}
