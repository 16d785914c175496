import Replay

extension BranchPage {
  /// What the log did beside what the rule says.
  var confusion: String {
    var out = traits.heading("What the log did, and what the rule would have done")
    let c = run.confusion
    let lines: [(String, BranchConfusion.Line)] = [
      ("branched", c.branched), ("did not branch, could", c.declined), ("did not, budget spent", c.spent),
      ("did not branch", c.notBranched), ("does not say", c.untold),
    ].filter { $0.1.points > 0 }
    let digits = options(isPaper: 0, isCode: 1)
    out += RankedTable(
      keyTitle: "the log", key: { $0.0 },
      columns: [
        .init(title: "points", rank: 0) { traits.grouped($0.1.points) },
        .init(title: "would branch", rank: 1) { $0.1.isKnown ? decimals($0.1.branches, digits) : nil },
        .init(title: "would not", rank: 2) { $0.1.isKnown ? decimals($0.1.declines, digits) : nil },
        .init(title: "no dH", rank: 3) { $0.1.unknown > 0 ? traits.grouped($0.1.unknown) : nil },
      ], rows: lines
    ).text(traits)
    if report.options.rule == .code { out += traits.note("the code's rule draws a coin: its side is an expectation") }
    return out + traits.note(forks)
  }

  private func options(isPaper: Int, isCode: Int) -> Int { report.options.rule == .paper ? isPaper : isCode }

  private var forks: String {
    let f = run.forks
    if f.forks == 0 {
      return "the log has no fork: no trajectory names a parent, and no two share a prefix up to a tool result"
    }
    let how =
      run.forkEvidence[.declared] != nil
      ? "as the log names their parents" : "found by common prefixes, as the log names no parents"
    var text = "\(traits.counted(f.forks, "fork")), \(how): \(f.afterToolResult) behind a tool result"
    if f.atStart > 0 { text += ", \(f.atStart) at the start" }
    if f.elsewhere > 0 { text += ", \(f.elsewhere) elsewhere" }
    if run.confusion.notBranched.points > 0, run.forkEvidence[.declared] != nil {
      let settings = run.run.branching
      text +=
        settings.rollouts == nil || settings.initialRollouts == nil
        ? "; whether a group could still branch is not known, as the run does not name its rollouts and initial_rollouts"
        : "; in \(traits.counted(run.recorded.groupsInOtherOrder, "group")) the forks are not in the order of ARPO's loop,"
          + " so whether they could still branch is not known"
    }
    return text
  }

  /// What the log records of its own decisions, `nil` if nothing.
  var recorded: String? {
    let r = run.recorded
    if r.forks == 0, r.drawn == 0, r.unchecked == 0 { return nil }
    var out = traits.heading("What the log records of its decisions")
    if r.forks > 0 { out += traits.wrapped("\(traits.counted(r.forks, "fork")) with a reason") }
    if r.drawn > 0 {
      out += traits.wrapped(
        "\(traits.counted(r.drawn, "decision")) with a draw: \(traits.grouped(r.consistent)) as the probability beside it"
          + " says", style: r.consistent == r.drawn ? .plain : .yellow)
    }
    if r.unchecked > 0 {
      let name = run.run.branching.algorithm ?? run.run.algorithm ?? ""
      out += traits.wrapped(
        "\(traits.counted(r.unchecked, "decision")) with a draw not checked: which draws branch is known of ARPO's code and"
          + " AEPO's, not of \(traits.safe(name))", style: .yellow)
    }
    if r.replayed > 0 {
      out += traits.wrapped(
        "\(traits.grouped(r.reproduced)) of \(traits.grouped(r.replayed)) draws decide the same when the run's own rule"
          + " (code, lagged) is replayed from the logged entropies",
        style: r.reproduced == r.replayed ? .plain : .yellow)
    }
    if let difference = r.largestDifference {
      out += traits.note(
        "replayed and recorded probabilities differ by at most \(difference == 0 ? "0" : decimals(difference, 3))")
    }
    return out
  }

  /// What forks are worth.
  var worth: String {
    let w = run.worth
    var out = traits.heading("What a fork is worth")
    if w.forks == 0 {
      return out + traits.note("cannot tell: behind no tool result are two branches with a reward")
    }
    out += traits.wrapped(
      "\(traits.counted(w.forks, "tool result")) with two scored branches or more behind \(w.forks == 1 ? "it" : "them"): variance of the branches'"
        + " mean rewards \(traits.told(w.variance)), best branch above their mean \(traits.told(w.regret)); the rewards"
        + " differ in \(w.different.value.map(percentText) ?? traits.absent)")
    if w.bins.count > 1 {
      out += RankedTable(
        keyTitle: "dH", key: { $0.label(traits) },
        columns: [
          .init(title: "points", rank: 0) { traits.grouped($0.forks) },
          .init(title: "variance", rank: 1) { $0.variance.value.map { decimals($0) } },
          .init(title: "95 %", rank: 3) { traits.ends($0.variance) },
          .init(title: "regret", rank: 2) { $0.regret.value.map { decimals($0) } },
          .init(title: "95 %", rank: 4) { traits.ends($0.regret) },
        ], rows: w.bins
      ).text(traits)
      out += traits.note(
        (w.withChange < 50 ? "too few for deciles" : "deciles of dH")
          + (w.bins.count < 10 ? ", equal values kept together" : "")
          + "; variance: of the branches' mean rewards, divisor n - 1; regret: best branch minus the mean of the branches"
      )
    }
    return out + answer
  }

  /// The answer in a sentence.
  private var answer: String {
    let w = run.worth
    let question = "Does dH predict where branching pays?"
    let told: String
    if w.pairs == 0 {
      told =
        w.withChange < 2
        ? "Cannot tell: \(traits.counted(w.withChange, "such result")) with a dH."
        : "Cannot tell: no group has two that differ in dH and in variance."
    } else {
      let numbers =
        "of \(traits.counted(w.pairs, "pair")) of one group, the one with the larger dH has the larger variance in"
        + " \(percentText(w.concordance.value ?? 0))"
        + (traits.ends(w.concordance.scaled(100), 1).map { " (95 % \($0) %)" } ?? "") + "; 50 % says nothing"
      switch w.verdict {
      case .yes: told = "Yes: \(numbers)."
      case .opposite: told = "No, the other way round: \(numbers)."
      case .cannotTell where w.pairedGroups < WorthReport.fewestGroups:
        told =
          "Cannot tell: \(numbers), and \(w.pairedGroups == 1 ? "one group is" : "\(w.pairedGroups) groups are") too few to"
          + " tell (\(WorthReport.fewestGroups) are enough)."
      case .cannotTell: told = "Cannot tell: \(numbers)."
      }
    }
    var out = traits.wrapped("\(question) \(told)", style: w.verdict == .yes ? .green : .yellow)
    if let difference = w.varianceDifference.value {
      out += traits.note(
        "over all groups, mean variance above the median dH minus that at or below it:"
          + " \(signedDecimals(difference))" + (traits.ends(w.varianceDifference, 4).map { " (95 % \($0))" } ?? ""))
    }
    return out
  }
}

extension WorthReport.Bin {
  /// Its stretch of dH.
  func label(_ traits: TerminalTraits) -> String {
    from == to ? signedDecimals(from) : signedDecimals(from) + traits.rangeMark + signedDecimals(to)
  }
}

extension BranchConfusion.Line {
  /// Decision points of the line.
  var points: Int { Int((branches + declines).rounded()) + unknown }

  /// Whether any of them has a dH.
  var isKnown: Bool { points > unknown }
}
