import Replay
import Rollouts

/// A prompt group's tree as a drawing.
struct TreePage {
  let report: TreeReport
  let traits: TerminalTraits
  /// Lines of the drawing at the most; `nil`: all.
  var rows: Int? = 60
  /// Levels that are drawn; `nil`: as many as fit.
  var depth: Int?
  /// In words, what prefixes count as shared.
  var sharing: String

  /// Head, drawing, and what the columns mean.
  var text: String { head + "\n" + drawing + notes }

  // MARK: Head

  private var head: String {
    let group = report.tree.group
    let stats = GroupStatistics(group.trajectories)
    let budget = ToolBudget(report.tree)
    var title = ["run \(traits.safe(group.run.id))"]
    if let step = group.step { title.append("step \(step)") }
    if let source = stats.dataSource { title.append(traits.safe(source)) }
    var out = traits.styled("group \(traits.cut(traits.safe(group.id), to: traits.proseWidth - 8))", .bold) + "\n"
    out += traits.wrapped(title.joined(separator: traits.separator))
    out += traits.wrapped(
      [
        leaves, forks,
        "\(traits.counted(unique, unit)) (\(percentText(shared)) of \(traits.grouped(budget.totalFlat)) shared)",
        "\(traits.counted(budget.executed, "tool call")) executed, \(traits.grouped(budget.independent)) on all paths",
      ].joined(separator: traits.separator))
    if let checkpoint = group.run.evidence { out += traits.fact("recomputed", checkpoint) }
    out += traits.wrapped("shared prefixes: \(sharing)", style: .dim)
    return out
  }

  private var leaves: String {
    let rewards = report.rewards
    var text = traits.counted(rewards.leaves, "leaf", "leaves")
    if rewards.scored < rewards.leaves { text += " (\(rewards.scored) scored)" }
    if let mean = rewards.mean {
      text += ", reward \(decimals(mean))" + (rewards.std.map { " \(plusMinus) \(decimals($0))" } ?? "")
    }
    return text
  }

  private var forks: String {
    var counts: [(String, Int)] = []
    for fork in report.nodes.compactMap(\.fork) {
      let name =
        switch fork.place {
        case .start: "at the start"
        case .afterResult: "after a tool result"
        case .after: "after another segment"
        case .inside: "inside a segment"
        }
      if let at = counts.firstIndex(where: { $0.0 == name }) { counts[at].1 += 1 } else { counts.append((name, 1)) }
    }
    let text = traits.counted(report.forks, "fork")
    return counts.isEmpty ? text : text + ": " + counts.map { "\($0.1) \($0.0)" }.joined(separator: ", ")
  }

  private var unique: Int { report.nodes.reduce(0) { $0 + $1.node.range.count } }

  private var shared: Double {
    let flat = report.tree.paths.reduce(0) { $0 + $1.length }
    return flat == 0 ? 0 : 1 - Double(unique) / Double(flat)
  }

  /// What the paths are made of.
  private var unit: String { report.tree.paths.contains { $0.unit == .segment } ? "segment" : "token" }

  private var plusMinus: String { traits.unicode ? "±" : "+-" }

  // MARK: Drawing

  private var drawing: String {
    let folding = TreeFolding(report.nodes, rows: rows, depth: depth)
    let labels = TreeLabels(report, traits: traits)
    let hasRise = report.estimator != nil && report.nodes.contains { $0.entropyRise != nil }
    var columns = [
      TextTable.Column(title: "node", narrowest: 16), .number(unit + "s"), .number("leaves"), .number("reward"),
      .number(plusMinus),
    ]
    if hasRise { columns.append(.number("rise")) }
    columns += report.strategies.map { .number($0) }
    var table = TextTable(columns: columns)
    let isLast = lastChildren(folding)
    for (n, node) in report.nodes.enumerated() where folding.isShown[n] {
      var label = gutter(n, isLast) + labels.node(node)
      if folding.hidden[n] > 0 { label += " [+\(traits.counted(folding.hidden[n], "node"))]" }
      var cells = [
        TextTable.Cell(label), TextTable.Cell(traits.grouped(node.node.range.count)),
        TextTable.Cell(traits.grouped(node.rewards.leaves)), number(node.rewards.mean), number(node.rewards.std),
      ]
      if hasRise { cells.append(number(node.entropyRise, signed: true)) }
      cells += node.advantages.map { advantage($0) }
      table.add(cells)
    }
    var out = table.render(traits)
    if !folding.hiddenTops.isEmpty {
      let leaves = folding.hiddenTops.reduce(0) { $0 + report.nodes[$1].rewards.leaves }
      out += traits.wrapped(
        "and \(traits.counted(folding.hiddenTops.count, "more root")) with \(traits.counted(leaves, "leaf", "leaves"))"
          + "; --rows 0 draws all", style: .dim)
    } else if folding.isShown.contains(false) {
      out += traits.wrapped("[+n nodes]: folded; --rows 0 or --depth draws more", style: .dim)
    }
    return out
  }

  /// By node: whether no later sibling is drawn.
  private func lastChildren(_ folding: TreeFolding) -> [Bool] {
    var last: [Int?: Int] = [:]
    for (n, node) in report.nodes.enumerated() where folding.isShown[n] { last[node.node.parent] = n }
    return report.nodes.indices.map { last[report.nodes[$0].node.parent] == $0 }
  }

  /// Lines from the parents; top nodes have none.
  private func gutter(_ n: Int, _ isLast: [Bool]) -> String {
    guard report.nodes[n].depth > 0 else { return "" }
    let (tee, corner, bar, blank) =
      traits.unicode ? ("├╴", "└╴", "│ ", "  ") : ("|-", "`-", "| ", "  ")
    var out = isLast[n] ? corner : tee
    var at = report.nodes[n].node.parent
    while let up = at, report.nodes[up].depth > 0 {
      out = (isLast[up] ? blank : bar) + out
      at = report.nodes[up].node.parent
    }
    return out
  }

  private func number(_ x: Double?, signed: Bool = false) -> TextTable.Cell {
    guard let x else { return TextTable.Cell(traits.absent, .dim) }
    return TextTable.Cell(signed ? signedDecimals(x, 3) : decimals(x, 3))
  }

  private func advantage(_ x: Double?) -> TextTable.Cell {
    guard let value = x else { return TextTable.Cell(traits.absent, .dim) }
    // What rounding leaves of a 0.
    let x = abs(value) <= 1e-12 ? 0 : value
    return TextTable.Cell(signedDecimals(x, 3), x > 0 ? .green : x < 0 ? .red : .plain)
  }

  // MARK: Notes

  private var notes: String {
    var text = "reward, \(plusMinus): mean and standard deviation (N - 1) of the scored leaves below"
    if let estimator = report.estimator, report.nodes.contains(where: { $0.entropyRise != nil }) {
      text +=
        "; rise: mean \(estimator.rawValue) \(estimator == .sampledNLL ? "surprisal" : "entropy") of the first "
        + "\(report.windowTokens) generated tokens from the node's start in its model call, less that of the trajectory's "
        + "first \(report.windowTokens), nats"
    } else if report.estimator == nil {
      text += "; the log has no logprobs: no entropy at forks"
    }
    if !report.strategies.isEmpty {
      text +=
        "; \(report.strategies.joined(separator: ", ")): mean advantage of the node's generated tokens over the leaves"
    }
    return traits.wrapped(text, style: .dim)
  }
}
