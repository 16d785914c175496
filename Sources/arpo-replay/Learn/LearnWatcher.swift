import Foundation
import Learner
import RolloutStore

/// What a person and the database see of a run while it goes on.
final class LearnWatcher: TrainingObserver {
  private let interruption: Interruption
  private let traits: TerminalTraits
  private let isQuiet: Bool
  private let line: StatusLine
  private let database: Store?
  private let run: Int64
  private var waiting: [(step: Int, values: [(name: String, value: Double)])] = []
  private var lastWrite = ContinuousClock.now
  private var lastSaid: ContinuousClock.Instant?
  private let start = ContinuousClock.now
  private var firstUpdate: Int?
  private var warned: Set<GuardFinding.Kind> = []
  private var text = ""
  private(set) var last: UpdateReport?

  /// - Parameters:
  ///   - database: gets the metrics; `nil`: none does.
  ///   - run: its number there.
  init(interruption: Interruption, traits: TerminalTraits, quiet: Bool, database: Store?, run: Int64) {
    self.interruption = interruption
    self.traits = traits
    isQuiet = quiet
    line = StatusLine(traits: traits)
    self.database = database
    self.run = run
  }

  func willCompute(update: Int, forest: Int, of forests: Int) throws {
    if interruption.isRequested { throw TrainingInterrupted() }
    if !isQuiet { line.update(forests > 1 ? "\(text) forest \(forest + 1)/\(forests)" : text) }
  }

  func didUpdate(_ report: UpdateReport) throws {
    last = report
    for finding in report.findings where !finding.isStop && warned.insert(finding.kind).inserted {
      line.finish()
      Talk.warn("update \(report.update): \(finding.text)")
    }
    waiting.append((report.update, report.metrics.entries.map { ($0.name, $0.value) }))
    if ContinuousClock.now - lastWrite > .seconds(1) { try record() }
    show(report)
  }

  func didCheckPacking(_ check: PackingCheck) {
    line.finish()
    Talk.say(
      """
      packed against flattened: relative gradient error \(decimals(check.gradientError, 2)), loss differs by \
      \(decimals(check.lossError, 2)); \(traits.grouped(check.packedTokens)) tokens instead of \
      \(traits.grouped(check.flatTokens))
      """)
  }

  func didSave(update: Int) throws { try record() }

  /// Hands what is waiting to the database; if another program holds it, later.
  private func record() throws {
    guard let database, !waiting.isEmpty else { return }
    lastWrite = ContinuousClock.now
    do {
      try database.addLearnerMetrics(run, waiting)
      waiting.removeAll()
    } catch let error as StoreError where error.kind == .busy {
      line.finish()
      Talk.warn("the database is locked; metrics of \(waiting.count) updates wait (metrics.jsonl has them)")
    }
  }

  /// The last word.
  func finish() throws {
    line.finish()
    try record()
  }

  private func show(_ report: UpdateReport) {
    guard !isQuiet else { return }
    let now = ContinuousClock.now
    let first = firstUpdate ?? report.update - 1
    firstUpdate = first
    let each = (now - start).seconds / Double(report.update - first)
    let left = Int((each * Double(report.updates - report.update)).rounded())
    var parts = ["update \(report.update)/\(report.updates)"]
    for (label, name) in [
      ("pg_loss", "actor/pg_loss"), ("kl", "kl"), ("clip", "actor/pg_clipfrac"),
      ("ess", "rollout_corr/rollout_is_eff_sample_size"), ("entropy", "entropy"), ("grad", "actor/grad_norm"),
    ] {
      if let x = report.metrics[name] { parts.append("\(label) \(decimals(x, 4))") }
    }
    if let x = report.metrics["perf/throughput"], x < 1e15 { parts.append("\(traits.grouped(Int(x))) tok/s") }
    parts.append(left < 3600 ? "\(left / 60) min \(left % 60) s left" : "\(left / 3600) h \(left / 60 % 60) min left")
    text = parts.joined(separator: ", ")
    line.update(text)
    guard !traits.isTTY, now - (lastSaid ?? start) > .seconds(10) else { return }
    lastSaid = now
    Talk.say(text)
  }
}
