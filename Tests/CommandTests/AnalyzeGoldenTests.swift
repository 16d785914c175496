import Foundation
import Testing
import TestSupport

/// The conformance surface: `analyze --format json` on every log of `$ARPO_GOLDENS/analysis`.
@Suite struct AnalyzeGoldenTests {
  static let folder = TestPaths.goldens.appending(path: "analysis")

  static let logs: [String] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    let stems = names.filter { $0.hasSuffix(".expected.json") }.map { String($0.dropLast(".expected.json".count)) }
    return stems.filter { stem in names.contains { $0.hasPrefix(stem + ".jsonl") } }.sorted()
  }()

  @Test func thereAreGoldens() { #expect(!Self.logs.isEmpty) }

  /// Logprobs went through float32, hence 1e-6; the log whose numbers have four decimals is allowed 1e-5.
  @Test(arguments: logs)
  func everyKey(stem: String) throws {
    let expected = try GoldenJSON.object(Self.folder.appending(path: stem + ".expected.json"))
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
    let log = try #require(names.filter { $0.hasPrefix(stem + ".jsonl") }.min())
    var arguments = ["analyze", Self.folder.appending(path: log).path, "--format", "json"]
    if let to = (expected["at_temperature"] as? [String: Any])?["to"] as? Double {
      arguments += ["--temperature", "\(to)"]
    }
    let run = try Tool.run(arguments)
    #expect(run.status == 0, "\(run.errors)")
    let got = try #require(try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
    let known = [
      "unit", "trajectories", "groups", "budget", "tree", "tree_any", "entropy", "at_temperature", "windows",
      "branching", "advantages", "comparisons", "shares",
    ]
    for key in known where expected[key] != nil {
      let value = try #require(got[key], "\(key) is missing")
      let differences = GoldenJSON.differences(
        value, expected[key] as Any, tolerance: stem == "mini" ? 1e-5 : 1e-6, at: key)
      #expect(differences.isEmpty, "\(differences)")
    }
    for key in got.keys { #expect(expected[key] != nil, "\(key) is not in the reference") }
  }
}
