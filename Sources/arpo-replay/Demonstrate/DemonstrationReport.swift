import Demonstration
import Foundation
import Replay

/// What the seeds say together.
struct DemonstrationReport {
  let strategies: [String]
  let outcomes: [DemonstrationRun.Outcome]

  /// A strategy's rewards over the seeds.
  struct Row {
    var strategy: String
    var before: SeedInterval
    var after: SeedInterval
    /// after - before, paired by seed.
    var gain: SeedInterval
    var seen: SeedInterval
    var unseen: SeedInterval
    /// The strategy of which every adapter is the same byte for byte.
    var sameAs: String?
  }

  var rows: [Row] {
    strategies.indices.map { s in
      let same = Set(outcomes.map { $0.sameAs[s] })
      return Row(
        strategy: strategies[s], before: SeedInterval(outcomes.map(\.before.all)),
        after: SeedInterval(outcomes.map { $0.after[s].all }),
        gain: SeedInterval(outcomes.map { $0.after[s].all - $0.before.all }),
        seen: SeedInterval(outcomes.map { $0.after[s].seen - $0.before.seen }),
        unseen: SeedInterval(outcomes.map { $0.after[s].unseen - $0.before.unseen }),
        sameAs: same.count == 1 ? same.first?.flatMap { $0 }.map { strategies[$0] } : nil)
    }
  }

  /// Two strategies, paired by seed.
  struct Pair {
    var a: String
    var b: String
    /// Reward of a minus reward of b.
    var difference: SeedInterval
    var isSame: Bool

    var verdict: String {
      if isSame { return "the same adapters, byte for byte" }
      switch difference.isDifferent {
      case nil: return "one seed tells nothing about others"
      case true?: return difference.mean > 0 ? "\(a) is better" : "\(b) is better"
      case false?: return "cannot be told apart"
      }
    }
  }

  var pairs: [Pair] {
    strategies.indices.flatMap { a in
      strategies.indices.dropFirst(a + 1).map { b in
        Pair(
          a: strategies[a], b: strategies[b],
          difference: SeedInterval(outcomes.map { $0.after[a].all - $0.after[b].all }),
          isSame: outcomes.allSatisfy { ($0.sameAs[b] ?? b) == ($0.sameAs[a] ?? a) })
      }
    }
  }

  // MARK: Output

  /// The report for a person.
  func text(_ traits: TerminalTraits) -> String {
    let branches = outcomes.reduce(0) { $0 + $1.branches }
    let rollouts = outcomes.reduce(0) { $0 + $1.rollouts }
    let logged = outcomes.reduce(0) { $0 + $1.logged } / Double(outcomes.count)
    var out = """
      \(traits.counted(outcomes.count, "seed")) · \(traits.grouped(rollouts)) logged rollouts, \
      \(traits.grouped(branches)) of them branches · mean reward in the log \(decimals(logged, 3)) · \
      the optimum is \(decimals(ToolTask.optimum, 0))
      mean reward of fresh responses to all questions; 95 % intervals over seeds (Student's t, paired by seed)


      """
    var table = TextTable(columns: [
      .text("attribution"), .number("before"), .number("after"), .number("gain"), .number("95 %"),
      .number("gain, logged questions"), .number("gain, others"), .text(""),
    ])
    for row in rows {
      table.add([
        TextTable.Cell(row.strategy), TextTable.Cell(decimals(row.before.mean, 3)),
        TextTable.Cell(decimals(row.after.mean, 3), .bold), TextTable.Cell(signedDecimals(row.gain.mean, 3)),
        TextTable.Cell(interval(row.gain, traits), .dim), TextTable.Cell(signedDecimals(row.seen.mean, 3)),
        TextTable.Cell(signedDecimals(row.unseen.mean, 3)),
        TextTable.Cell(row.sameAs.map { "same adapters as \($0)" } ?? "", .dim),
      ])
    }
    out += table.render(traits) + "\n"
    var comparisons = TextTable(columns: [
      .text("comparison"), .number("difference"), .number("95 %"), .text("verdict"),
    ])
    for pair in pairs {
      comparisons.add([
        TextTable.Cell("\(pair.a) - \(pair.b)"), TextTable.Cell(signedDecimals(pair.difference.mean, 3)),
        TextTable.Cell(interval(pair.difference, traits), .dim), TextTable.Cell(pair.verdict),
      ])
    }
    if !pairs.isEmpty { out += comparisons.render(traits) }
    if pairs.count > 1 { out += "intervals are not corrected for the number of comparisons\n" }
    return out
  }

  private func interval(_ x: SeedInterval, _ traits: TerminalTraits) -> String {
    guard let (low, high) = x.interval else { return traits.absent }
    return "\(signedDecimals(low, 3))\(traits.unicode ? "…" : "..")\(signedDecimals(high, 3))"
  }

  /// The report as data.
  var document: DocumentValue {
    func value(_ x: SeedInterval) -> DocumentValue {
      .object([
        ("mean", .double(x.mean)), ("low", .number(x.interval?.low)), ("high", .number(x.interval?.high)),
      ])
    }
    func reward(_ x: DemonstrationRun.Reward) -> DocumentValue {
      .object([("all", .double(x.all)), ("logged_questions", .double(x.seen)), ("other_questions", .double(x.unseen))])
    }
    return .object([
      ("optimum", .double(ToolTask.optimum)),
      (
        "strategies",
        .array(
          rows.map { row in
            .object([
              ("attribution", .string(row.strategy)), ("before", value(row.before)), ("after", value(row.after)),
              ("gain", value(row.gain)), ("gain_logged_questions", value(row.seen)),
              ("gain_other_questions", value(row.unseen)), ("same_adapters_as", .text(row.sameAs)),
            ])
          })
      ),
      (
        "comparisons",
        .array(
          pairs.map { pair in
            .object([
              ("a", .string(pair.a)), ("b", .string(pair.b)), ("difference", value(pair.difference)),
              ("verdict", .string(pair.verdict)),
            ])
          })
      ),
      (
        "seeds",
        .array(
          outcomes.map { outcome in
            .object([
              ("seed", .seed(outcome.seed)), ("rollouts", .int(outcome.rollouts)),
              ("branches", .int(outcome.branches)), ("logged_reward", .double(outcome.logged)),
              ("before", reward(outcome.before)),
              (
                "after",
                .object(zip(strategies, outcome.after).map { ($0, reward($1)) })
              ),
            ])
          })
      ),
    ])
  }
}
