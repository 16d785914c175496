import Foundation
import Learner
import Policy
import RolloutLogs
import RolloutStore

/// The folder that a run writes: what may be there before it begins, and what is left when it ends.
struct LearnFolder {
  let path: String

  init(_ path: String) { self.path = path }

  private var entries: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }

  /// Whether a run that is to go on has nothing left to do.
  func isComplete(isResumed: Bool) throws -> Bool {
    try isResumed && LearnManifest.state(in: path) == "complete"
  }

  /// Refuses folders that hold something else than what is to be gone on with or overwritten.
  func check(isResumed: Bool, overwrites: Bool) throws {
    // The manifest is written first: a run that was killed over it has left nothing else.
    guard !entries.allSatisfy(Self.isUnfinishedManifest) else { return }
    let holdsRun = try LearnManifest.state(in: path) != nil
    guard holdsRun else {
      throw LearnerError("\(path) is not empty and holds no run of the learner: choose another --out")
    }
    if isResumed { return }
    guard overwrites else {
      throw LearnerError("\(path) holds a run already: --resume goes on with it, --overwrite starts over")
    }
    let others = entries.filter { !Self.isOwn($0) }.sorted()
    guard others.isEmpty else {
      let names = others.prefix(5).joined(separator: ", ") + (others.count > 5 ? ", …" : "")
      throw LearnerError(
        "\(path) has files that the learner did not write (\(names)), and --overwrite deletes none of those: "
          + "move them, or choose another --out")
    }
  }

  /// Makes the folder, or empties one that held a run.
  func begin(overwrites: Bool) throws {
    for name in entries where Self.isUnfinishedManifest(name) {
      try FileManager.default.removeItem(atPath: path + "/" + name)
    }
    if overwrites {
      // The manifest goes last: until then the folder is known as the learner's.
      for name in entries.filter(Self.isOwn).sorted(by: { $1 == LearnManifest.name && $0 != $1 }) {
        try FileManager.default.removeItem(atPath: path + "/" + name)
      }
    }
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  private static func isUnfinishedManifest(_ name: String) -> Bool {
    AtomicFile.target(ofTemporary: name) == LearnManifest.name
  }

  private static let workingFolders = ["checkpoints", "scores"]

  /// Whether a run writes an entry of that name: its records, an adapter or a checkpoint with the tokenizer, or a file of
  /// these that a killed run left unfinished.
  static func isOwn(_ name: String) -> Bool {
    let files =
      [LearnManifest.name, "metrics.jsonl"] + workingFolders + LoRAAdapter.fileNames + Checkpoint.companions
    if files.contains(name) { return true }
    if name.wholeMatch(of: /model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json/) != nil { return true }
    return AtomicFile.target(ofTemporary: name).map(isOwn) ?? false
  }

  /// Checkpoints and scores, which only a run that goes on needs.
  func removeWorkingFiles() {
    for name in Self.workingFolders { try? FileManager.default.removeItem(atPath: path + "/" + name) }
  }

  /// Puts the numbers of the updates that a killed run had not yet put there into the database.
  func restoreMetrics(of run: Int64, in store: Store) throws {
    let text = try String(contentsOfFile: path + "/metrics.jsonl", encoding: .utf8)
    var steps: [(step: Int, values: [(name: String, value: Double)])] = []
    for line in text.split(separator: "\n") {
      let object = try JSONValue(parsing: String(line))
      guard let step = object["step"]?.int else { continue }
      let values = (object.members ?? []).compactMap { member in
        ["step", "epoch"].contains(member.key) ? nil : member.value.double.map { (name: member.key, value: $0) }
      }
      steps.append((step, values))
    }
    try store.addLearnerMetrics(run, steps)
  }
}

/// What a run says on standard output when it ends.
struct LearnSummary {
  let out: String
  let state: LearnerRunRecord.State
  let trainerState: TrainingState
  let last: UpdateReport?

  func write(_ format: OutputFormat, _ traits: TerminalTraits) throws {
    let names = [
      "actor/pg_loss", "actor/kl_loss", "actor/entropy", "actor/grad_norm", "rollout_corr/rollout_is_eff_sample_size",
      "perf/throughput",
    ]
    let columns = [
      OutputColumn("out"), OutputColumn("state"), OutputColumn("updates", isCount: true),
      OutputColumn("skipped", isCount: true), OutputColumn("tokens", isCount: true),
    ]
    let writer = RowWriter(
      format: format, columns: columns + names.map { OutputColumn($0) }, traits: traits)
    try writer.write(
      [
        .text(out), .text(state.rawValue), .int(trainerState.update), .int(trainerState.skipped),
        .int(trainerState.tokens),
      ] + names.map { name in last?.metrics[name].map { .double($0) } ?? .null })
    try writer.finish()
  }
}
