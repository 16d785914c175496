import Foundation
import Replay
import RolloutStore

/// Strategies applied to the groups of a database: run by run, and group by group in canonical order.
///
/// Groups stream by twice if a strategy's statistics run over batches, else once; memory is bounded by the largest group
/// times the number of threads.
struct AttributionPass {
  let store: Store
  let strategies: [any AttributionStrategy]
  /// What the caller reads of a group besides.
  var alsoNeeds: AttributionNeeds = []
  var threads = max(2, ProcessInfo.processInfo.activeProcessorCount)
  private let selection: GroupSelection

  /// - Parameters:
  ///   - store: the database.
  ///   - selection: its runs and groups.
  ///   - strategies: what to apply.
  ///   - withTexts: whether the caller reads texts of segments.
  ///   - withProbabilities: whether it reads logprobs or entropies.
  ///   - withOutcomes: whether it reads logged advantages.
  init(
    store: Store, selection: GroupSelection, strategies: [any AttributionStrategy], withTexts: Bool = false,
    withProbabilities: Bool = false, withOutcomes: Bool = false
  ) {
    self.store = store
    self.strategies = strategies
    var selection = selection
    selection.withTexts = withTexts
    selection.withOutcomes = withOutcomes
    selection.withProbabilities =
      withProbabilities || !AttributionGroup.needs(of: strategies).estimators.isEmpty
    self.selection = selection
  }

  /// Groups of a run that ``forEachGroup(of:_:transform:consume:)`` goes through.
  func groupCount(of run: ReplayRun) throws -> Int { try store.groupCount(only(run)) }

  /// The selected runs.
  func runs() throws -> [ReplayRun] { try store.runs(selection) }

  /// First phase: what the strategies need to know of a run's batches, all groups of the run among them, whichever are
  /// selected.
  ///
  /// - Parameter tick: called after each group; it may throw to stop.
  func batches(of run: ReplayRun, tick: () throws -> Void = {}) throws -> AttributionBatches {
    let strategies = strategies
    var out = AttributionBatches(strategies)
    guard out.isNeeded else { return out }
    var whole = only(run)
    whole.groups = []
    whole.step = nil
    try store.forEachGroup(
      whole, workers: threads, transform: { try AttributionBatches(strategies, of: RolloutTree($0)) },
      consume: {
        out += $0
        try tick()
      })
    return out
  }

  /// Second phase: every group under every strategy.
  ///
  /// - Parameters:
  ///   - transform: works on a group in one of several threads.
  ///   - consume: takes the results in canonical order.
  func forEachGroup<Result: Sendable>(
    of run: ReplayRun, _ batches: AttributionBatches,
    transform: @escaping @Sendable (GroupAttribution) throws -> Result, consume: (Result) throws -> Void
  ) throws {
    let (strategies, alsoNeeds) = (strategies, alsoNeeds)
    try store.forEachGroup(
      only(run), workers: threads,
      transform: {
        try transform(GroupAttribution(RolloutTree($0), strategies, batches, alsoNeeds: alsoNeeds))
      }, consume: consume)
  }

  private func only(_ run: ReplayRun) -> GroupSelection {
    var selection = selection
    selection.runs = [run.id]
    return selection
  }
}
