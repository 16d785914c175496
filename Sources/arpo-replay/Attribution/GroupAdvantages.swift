import ArgumentParser
import Replay
import RolloutStore

/// Advantages by a name: one that the database keeps, or else a strategy's, computed as the groups stream by.
struct GroupAdvantages {
  private enum Source {
    case stored(AttributionReader)
    case computed(any AttributionStrategy)
  }

  private let source: Source

  init(named name: String, in store: Store) throws {
    let stored = try store.attributions().map(\.name)
    if stored.contains(name) {
      source = .stored(try store.attribution(named: name))
    } else if let strategy = AttributionStrategies.named(name) {
      source = .computed(strategy)
    } else {
      let names = AttributionStrategies.all.map(\.name).joined(separator: ", ")
      throw ValidationError(
        "there is no attribution \(name); the database keeps: \(stored.joined(separator: ", ")); strategies: \(names)")
    }
  }

  /// What gives the advantages of a run's groups, by trajectory; a strategy that looks at whole batches has seen all
  /// groups of the run.
  ///
  /// - Parameter tick: called after each group of a first phase; it may throw to stop.
  func forRun(
    _ id: String, _ store: Store, threads: Int, tick: () throws -> Void
  ) throws -> @Sendable (RolloutTree) throws -> [PathAdvantages] {
    switch source {
    case .stored(let reader): return { try reader.advantages(of: $0.group) }
    case .computed(let strategy):
      var selection = GroupSelection()
      selection.runs = [id]
      var pass = AttributionPass(store: store, selection: selection, strategies: [strategy])
      pass.threads = threads
      guard let run = try pass.runs().first else { return { $0.paths.map { _ in .missing } } }
      let batches = try pass.batches(of: run, tick: tick)
      return { GroupAttribution($0, [strategy], batches).advantages[0] }
    }
  }
}
