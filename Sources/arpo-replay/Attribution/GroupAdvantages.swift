import ArgumentParser
import Replay
import RolloutStore

/// Advantages of any group by one strategy, computed as groups come; a strategy that looks at whole batches has seen all
/// groups of the selected runs before.
struct GroupAdvantages: Sendable {
  private let strategy: any AttributionStrategy
  /// By run.
  private var batches: [String: AttributionBatches] = [:]

  /// - Parameters:
  ///   - name: one of ``AttributionStrategies``.
  ///   - selection: its runs; a batch is all groups of a step, whichever are selected.
  ///   - tick: called after each group of a first phase; it may throw to stop.
  init(
    named name: String, _ store: Store, _ selection: GroupSelection, threads: Int, tick: () throws -> Void = {}
  ) throws {
    guard let strategy = AttributionStrategies.named(name) else {
      throw ValidationError("there is no attribution \(name)")
    }
    self.strategy = strategy
    guard strategy.scope == .batch else { return }
    var runs = GroupSelection()
    runs.runs = selection.runs
    var pass = AttributionPass(store: store, selection: runs, strategies: [strategy])
    pass.threads = threads
    for run in try pass.runs() { batches[run.id] = try pass.batches(of: run, tick: tick) }
  }

  /// By trajectory; all missing where the log lacks what the strategy needs.
  func of(_ tree: RolloutTree) -> [PathAdvantages] {
    let batches = batches[tree.group.run.id] ?? AttributionBatches([strategy])
    return GroupAttribution(tree, [strategy], batches).advantages[0]
  }
}

/// Advantages by a name: one that `attribute` keeps in the database, or else a strategy's.
enum NamedAdvantages: Sendable {
  case stored(AttributionReader)
  case computed(GroupAdvantages)

  init(
    named name: String, _ store: Store, _ selection: GroupSelection, threads: Int, tick: () throws -> Void = {}
  ) throws {
    let stored = try store.attributions().map(\.name)
    if stored.contains(name) {
      let reader = try store.attribution(named: name)
      if reader.isCurrent == false {
        Talk.warn(
          "attribution \(name) was kept before the database changed, and may be of other groups than there are now: "
            + "arpo-replay attribute makes it anew")
      }
      self = .stored(reader)
    } else if AttributionStrategies.named(name) != nil {
      self = .computed(try GroupAdvantages(named: name, store, selection, threads: threads, tick: tick))
    } else {
      let names = AttributionStrategies.all.map(\.name).joined(separator: ", ")
      throw ValidationError(
        "there is no attribution \(name): neither kept in the database "
          + "(\(stored.isEmpty ? "it has none" : stored.joined(separator: ", "))) nor a strategy (\(names))")
    }
  }

  /// By trajectory.
  func of(_ tree: RolloutTree) throws -> [PathAdvantages] {
    switch self {
    case .stored(let reader): try reader.advantages(of: tree.group)
    case .computed(let computed): computed.of(tree)
    }
  }
}
