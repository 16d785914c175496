import ArgumentParser
import Foundation
import Replay
import RolloutStore

struct DemonstrateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demonstrate",
    abstract: "Shows on a task with a known optimum that replayed logs teach a policy.",
    discussion: """
        arpo-replay demonstrate --out demo              # a few minutes on two cores
        arpo-replay demonstrate --out demo --seeds 5 --strategies arpo-hard,grpo

      For each seed: a small Llama of its own making is taught the form of tool calls (learn --loss sft); it answers \
      questions by calling tools (a lookup whose table nobody knows, and a sum), branching as ARPO does; the log is \
      imported, and learn updates the policy offline, once with each attribution, from the same log. Then fresh responses \
      are sampled before and after. Right answers earn 1, so the best policy earns 1.

      Everything stays in the folder: logs, databases, checkpoints, adapters, metrics, the commands to repeat each step \
      (commands.sh), and the result (demonstration.json). Strategies whose difference could be chance are said to be so.

      Exit codes: \(ExitStatus.summary)
      """)

  @Option(name: [.short, .customLong("out")], help: "Folder to make; must not exist or be empty.")
  var out: String

  @Option(help: "Attributions to compare, with commas between.")
  var strategies = "arpo-hard,arpo-soft,grpo:verl,tree-grpo"

  @Option(
    name: .customLong("learn"), parsing: .unconditional,
    help: ArgumentHelp("More options of learn for the updates, such as '--loss topr'.", valueName: "options"))
  var learnOptions = ""

  @OptionGroup(title: "Scale") var scale: DemonstrationScale

  @OptionGroup var output: ReportArguments

  @Option(help: "Threads; equal results need equal threads.")
  var threads = ProcessInfo.processInfo.activeProcessorCount

  private var names: [String] { strategies.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } }

  func validate() throws {
    guard !names.isEmpty, Set(names).count == names.count else {
      throw ValidationError("--strategies names none, or one twice")
    }
    for name in names where AttributionStrategies.named(name) == nil {
      throw ValidationError(
        "there is no attribution \(name); known: \(AttributionStrategies.all.map(\.name).joined(separator: ", "))")
    }
    guard (1...64).contains(threads) else { throw ValidationError("--threads is 1 to 64") }
  }

  func run() throws {
    try Talk.guarded {
      let entries = (try? FileManager.default.contentsOfDirectory(atPath: out)) ?? []
      guard entries.isEmpty else { throw DemonstrationError("\(out) is not empty: choose another --out") }
      try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
      let folder = URL(filePath: out).standardizedFileURL.path
      let run = DemonstrationRun(
        folder: folder, scale: scale, strategies: names, threads: threads,
        learnOptions: learnOptions.split(separator: " ").map(String.init), interruption: Interruption())
      let report = DemonstrationReport(strategies: names, outcomes: try run.outcomes { Talk.say($0) })
      let document = DocumentText.json(report.document) + "\n"
      try Data(document.utf8).write(to: URL(filePath: folder + "/demonstration.json"), options: .atomic)
      let page = BufferedOutput()
      page.write(output.format == .json ? document : report.text(output.traits))
      try page.flush()
      return .ok
    }
  }
}
