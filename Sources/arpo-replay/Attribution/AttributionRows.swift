import Replay
import RolloutStore
import Rollouts

/// Advantages as rows: by segment, or a record a trajectory.
enum AttributionRows {
  private static let head: [OutputColumn] = [
    "name", "strategy", "run_id", "group_id", "step", "trajectory_id", "reward",
  ]

  /// Columns of ``segments(_:_:_:)``.
  static let segmentColumns: [OutputColumn] =
    head + [
      "segment", "kind", "tool", "start", "end", "owned", OutputColumn("generated", isCount: true), "mean", "min",
      "max",
    ]

  /// Columns of ``tokens(_:_:_:)``.
  static let tokenColumns: [OutputColumn] = head + [OutputColumn("length", isCount: true), "advantages"]

  /// One row for each segment with generated tokens; a trajectory without advantages has one row without numbers.
  static func segments(_ entry: AttributionWriter.Entry, _ s: Int, _ attribution: GroupAttribution) -> [[CellValue]] {
    attribution.group.leaves.indices.flatMap { t -> [[CellValue]] in
      let leaf = attribution.group.leaves[t]
      let head = head(entry, attribution, leaf)
      let credit = PathCredit(leaf, attribution.advantages[s][t])
      if credit.segments.isEmpty {
        return [head + [CellValue](repeating: .null, count: segmentColumns.count - head.count)]
      }
      let branch = attribution.tree.paths[t].branch
      return credit.segments.map { part in
        let segment = leaf.segments[part.ordinal]
        return head + [
          .int(part.ordinal), .text(segment.kind.rawValue), .string(segment.tool), .int(segment.start),
          .int(segment.end), .bool(segment.end > branch), .int(part.generated), .double(part.mean),
          .double(part.range.lowerBound), .double(part.range.upperBound),
        ]
      }
    }
  }

  /// Columns of ``page(_:_:)``: what a person reads, a column a strategy.
  static func pageColumns(_ entries: [AttributionWriter.Entry]) -> [OutputColumn] {
    ["group", "trajectory", "reward", "segment", "tokens", OutputColumn("sampled", isCount: true)]
      + entries.map { OutputColumn($0.name) }
  }

  /// One row for each segment with generated tokens, and the mean advantage under each strategy.
  static func page(_ entries: [AttributionWriter.Entry], _ attribution: GroupAttribution) -> [[CellValue]] {
    let group = attribution.tree.group
    return attribution.group.leaves.enumerated().flatMap { t, leaf -> [[CellValue]] in
      let credits = entries.indices.map { PathCredit(leaf, attribution.advantages[$0][t]) }
      let head: [CellValue] = [.text(group.id), .text(leaf.id), .number(leaf.reward)]
      let parts = credits.first { !$0.segments.isEmpty }?.segments ?? []
      if parts.isEmpty {
        return [head + [CellValue](repeating: .null, count: 3 + entries.count)]
      }
      return parts.map { part in
        let segment = leaf.segments[part.ordinal]
        let kind = [segment.kind.words, segment.tool].compactMap { $0 }.joined(separator: " ")
        let means = credits.map { credit in
          CellValue.number(credit.segments.first { $0.ordinal == part.ordinal }?.mean)
        }
        return head + [.text(kind), .text("\(segment.start)-\(segment.end)"), .int(part.generated)] + means
      }
    }
  }

  /// One row for each trajectory; its advantages are aligned with its response tokens (text-only: segments), inserted ones
  /// 0.
  static func tokens(_ entry: AttributionWriter.Entry, _ s: Int, _ attribution: GroupAttribution) -> [[CellValue]] {
    attribution.group.leaves.indices.map { t in
      let leaf = attribution.group.leaves[t]
      let values = attribution.advantages[s][t].aligned(leaf.generated, length: leaf.length)
      return head(entry, attribution, leaf) + [
        .int(leaf.length), values.map { .numbers($0) } ?? .null,
      ]
    }
  }

  private static func head(
    _ entry: AttributionWriter.Entry, _ attribution: GroupAttribution, _ leaf: AttributionLeaf
  ) -> [CellValue] {
    let group = attribution.tree.group
    return [
      .text(entry.name), .text(entry.strategy.name), .text(group.run.id), .text(group.id), .integer(leaf.step),
      .text(leaf.id),
      .number(leaf.reward),
    ]
  }
}
