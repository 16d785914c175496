import ArgumentParser
import CKernels
import Foundation

/// Benchmarks, side by side with what a user would take instead, in turns within one run: the machine's speed drifts,
/// ratios drift less.
@main
struct Bench: ParsableCommand {
  static func main() {
    // As in arpo-replay.
    arpo_tune_allocator()
    arpo_run_as_batch()
    main(nil)
  }

  static let configuration = CommandConfiguration(
    commandName: "arpo-replay-bench",
    abstract: "Measures arpo-replay.",
    discussion: """
        swift run -c release arpo-replay-bench compare LOG --peers DIR
        swift run -c release arpo-replay-bench entropy DATABASE
        swift run -c release arpo-replay-bench scale SMALL LARGE
        swift run -c release arpo-replay-bench phases LOG
        swift run -c release arpo-replay-bench attribution LOG --peers DIR
        swift run -c release arpo-replay-bench policy --peer DIR/peer_torch.py
        swift run -c release arpo-replay-bench learner --peer DIR/peer_torch.py
        swift run -c release arpo-replay-bench simulate LOG
      """,
    subcommands: [
      CompareCommand.self, EntropyCommand.self, ScaleCommand.self, PhasesCommand.self, AttributionCommand.self,
      PolicyCommand.self, LearnerCommand.self, SimulateBenchCommand.self,
    ])
}

/// Medians and the like.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  guard !sorted.isEmpty else { return .nan }
  let n = sorted.count
  return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2
}

/// The binary that stands beside this one.
func tool() throws -> String {
  let here = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
  let path = here.appending(path: "arpo-replay").path
  guard FileManager.default.isExecutableFile(atPath: path) else {
    throw ValidationError("build it first: swift build -c release --product arpo-replay")
  }
  return path
}

/// A folder that goes away.
struct Scratch: ~Copyable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "arpo-replay-bench-\(getpid())")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  func path(_ name: String) -> String { url.appending(path: name).path }

  func remove(_ name: String) {
    for suffix in ["", "-wal", "-shm", "-journal"] { try? FileManager.default.removeItem(atPath: path(name) + suffix) }
  }

  deinit { try? FileManager.default.removeItem(at: url) }
}

func size(_ path: String) -> Int {
  (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
}

func fixed(_ x: Double, _ digits: Int) -> String { x.isNaN ? "-" : String(format: "%.\(digits)f", x) }
