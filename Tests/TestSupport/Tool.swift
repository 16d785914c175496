public import Foundation

/// The built `arpo-replay`, found beside the tests.
public enum Tool {
  /// The binary's path; `nil` if it is nowhere above the test bundle.
  public static let path: String? = {
    var starts = Bundle.allBundles.map(\.bundleURL)
    if let first = CommandLine.arguments.first { starts.append(URL(filePath: first)) }
    for start in starts {
      var folder = start.deletingLastPathComponent()
      for _ in 0..<6 {
        let file = folder.appending(path: "arpo-replay")
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: file.path, isDirectory: &isFolder), !isFolder.boolValue {
          return file.path
        }
        folder.deleteLastPathComponent()
      }
    }
    return nil
  }()

  /// Starts the tool; `env` stands for it where it is not built, so that the failure says what is missing.
  public static func start(
    _ arguments: [String], input: Data? = nil, pipe: Pipe? = nil, environment: [String: String] = [:],
    currentDirectory: URL? = nil
  ) throws -> Spawned.Running {
    try Spawned.Running(
      path ?? "/arpo-replay/is/not/built", arguments, input: input, pipe: pipe, environment: environment,
      currentDirectory: currentDirectory)
  }

  /// Runs the tool to its end.
  public static func run(
    _ arguments: [String], input: Data? = nil, environment: [String: String] = [:], currentDirectory: URL? = nil
  ) throws -> Spawned {
    try start(arguments, input: input, environment: environment, currentDirectory: currentDirectory).wait()
  }
}
