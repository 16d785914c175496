import Foundation
import Replay
import RolloutStore
import Rollouts

/// Finds the token that `--explain` is asked about and writes every strategy's explanation of it.
struct ExplanationRun {
  let pass: AttributionPass
  let options: ExplainOptions
  let traits: TerminalTraits

  /// A token of a group, and what the strategies say of it.
  struct Found: Sendable {
    var group: ReplayGroup
    var trajectory: String
    var index: Int
    var segment: PathSegment?
    var advantages: [Double?]
    var explanations: [Explanation]
  }

  private struct Done: Error {}

  func write(_ format: OutputFormat) throws {
    guard let found = try find() else {
      throw StoreError(
        .failed,
        options.trajectory.map { "there is no trajectory \($0) among the selected groups" }
          ?? "no selected group has a scored trajectory with generated tokens")
    }
    let renderer = ExplanationRenderer(found: found, strategies: pass.strategies, traits: traits)
    switch format {
    case .table:
      let output = BufferedOutput()
      output.write(renderer.text)
      try output.flush()
    case .json:
      let output = BufferedOutput()
      output.write(DocumentText.json(renderer.document) + "\n")
      try output.flush()
    case .ndjson, .csv:
      let writer = RowWriter(format: format, columns: ExplanationRenderer.columns)
      for row in renderer.rows { try writer.write(row) }
      try writer.finish()
    }
  }

  private func find() throws -> Found? {
    var found: Found?
    var fallback: Found?
    for run in try pass.runs() where found == nil {
      let batches = try pass.batches(of: run)
      let (strategies, options) = (pass.strategies, options)
      do {
        try pass.forEachGroup(
          of: run, batches,
          transform: { attribution -> (Found, Bool)? in
            guard let place = try Self.place(attribution, options) else { return nil }
            return (Self.explain(place, attribution, strategies, batches), Self.hasSignal(attribution))
          },
          consume: { result in
            guard let (token, hasSignal) = result else { return }
            if options.trajectory != nil || hasSignal {
              found = token
              throw Done()
            }
            fallback = fallback ?? token
          })
      } catch is Done {}
    }
    return found ?? fallback
  }

  /// The token asked for in this group; `nil` if it is not there.
  private static func place(_ attribution: GroupAttribution, _ options: ExplainOptions) throws -> TokenPlace? {
    let leaves = attribution.group.leaves
    let leaf =
      if let id = options.trajectory {
        leaves.firstIndex { $0.id == id }
      } else {
        leaves.firstIndex { $0.reward != nil && $0.generatedCount > 0 && ($0.length > options.token ?? 0) }
      }
    guard let leaf else { return nil }
    if let token = options.token {
      guard token < leaves[leaf].length else {
        throw StoreError(
          .failed,
          "trajectory \(leaves[leaf].id) has \(leaves[leaf].length) response tokens: there is no token \(token)")
      }
      return TokenPlace(leaf: leaf, index: token)
    }
    guard let first = leaves[leaf].generated.first else {
      throw StoreError(.failed, "trajectory \(leaves[leaf].id) has no generated token")
    }
    return TokenPlace(leaf: leaf, index: first.lowerBound)
  }

  private static func hasSignal(_ attribution: GroupAttribution) -> Bool {
    let rewards = attribution.group.leaves.compactMap(\.reward)
    return !areEqual(rewards)
  }

  private static func explain(
    _ place: TokenPlace, _ attribution: GroupAttribution, _ strategies: [any AttributionStrategy],
    _ batches: AttributionBatches
  ) -> Found {
    let leaf = attribution.group.leaves[place.leaf]
    return Found(
      group: attribution.tree.group, trajectory: leaf.id, index: place.index,
      segment: leaf.segments.first { $0.start <= place.index && place.index < $0.end },
      advantages: attribution.advantages.map {
        $0[place.leaf].aligned(leaf.generated, length: leaf.length)?[place.index]
      },
      explanations: strategies.enumerated().map { s, strategy in
        strategy.explain(place, of: attribution.group, in: batches[s])
      })
  }
}
