import AdaptiveRollout
import Replay

/// The page of one run's replayed branching rule.
struct BranchPage {
  let report: BranchReport
  let run: RunBranches
  let traits: TerminalTraits

  private var options: BranchingOptions { report.options }

  /// The sections, a blank line between them.
  var text: String {
    var sections = [title + evidence]
    if run.rows.isEmpty {
      sections.append(traits.note("the run has no tool result after which somebody could branch"))
    } else if run.rows[0].withChange == 0 {
      sections.append(missing)
      sections.append(confusion)
    } else {
      sections.append(decisions)
      sections.append(confusion)
    }
    if let recorded { sections.append(recorded) }
    sections.append(worth)
    return sections.joined(separator: "\n")
  }

  private var title: String {
    var facts = [
      traits.counted(run.groups, "group"), traits.counted(run.trajectories, "trajectory", "trajectories"),
      traits.counted(run.forks.forks, "fork"), traits.counted(run.rows.first?.points ?? 0, "decision point"),
      traits.counted(run.executedCalls, "executed call"),
    ]
    if let algorithm = run.run.algorithm { facts.insert(traits.safe(algorithm), at: 0) }
    return traits.title(run: run.run.id, facts: facts)
  }

  private var evidence: String {
    var out = traits.fact("rule", BranchWords.rule(options.rule, run.settings))
    out += traits.fact("timing", BranchWords.timing(options))
    out += traits.fact("entropy", BranchWords.entropy(run, options))
    if let checkpoint = run.run.evidence { out += traits.fact("recomputed", checkpoint) }
    if run.textOnly > 0 {
      out += traits.fact(
        "text only",
        "\(traits.grouped(run.textOnly)) of \(traits.counted(run.trajectories, "trajectory", "trajectories")):"
          + " no entropy", style: .yellow)
    }
    let held = run.evidence.map { "\(traits.grouped($0.trajectories)) \($0.label.replacing(",", with: ", "))" }
    out += traits.fact("evidence", held.joined(separator: "; "), style: .dim)
    return out
      + traits.fact(
        "intervals", traits.intervals(replicates: options.bootstrapReplicates, seed: options.seed), style: .dim)
  }

  /// What the rule says, by tool.
  private var decisions: String {
    var out = traits.heading("Decisions after tool results")
    let all = run.rows[0]
    let digits = options.usedNormalizer == .vocabulary ? 2 : 4
    func number(_ x: Estimate) -> String? { x.value.map { small($0, digits) } }
    let isPaper = options.rule == .paper
    let columns: [RankedTable<BranchRow>.Column] = [
      .init(title: "points", rank: 0) { traits.grouped($0.points) },
      .init(title: "no dH", rank: 8) { $0.points > $0.withChange ? traits.grouped($0.points - $0.withChange) : nil },
      .init(title: "dH = 0", rank: 3) { traits.grouped($0.blind) },
      .init(title: "H initial", rank: 6) { number($0.initial) },
      .init(title: "H now", rank: 5) { number($0.now) },
      .init(title: "dH", rank: 1) { $0.deltaH.value.map { signed($0, digits) } },
      .init(title: "95 %", rank: 4) { interval($0.deltaH, digits) },
      .init(title: "P", rank: isPaper ? 9 : 2) { $0.probability.value.map { decimals($0, 3) } },
      .init(title: "branches", rank: 2) { $0.chance.value.map(percentText) },
      .init(title: "95 %", rank: 7) { row in
        traits.ends(row.chance.scaled(100), 1).map { $0 + " %" }
      },
      .init(title: "logged", rank: 2) { row in
        hasForks ? percentText(Double(row.branched) / Double(max(1, row.points))) : nil
      },
    ]
    out += RankedTable(
      keyTitle: "tool", key: { $0.tool ?? "all tools" }, columns: columns, rows: Array(run.rows.prefix(31))
    ).text(traits)
    if run.rows.count > 31 { out += traits.note("and \(traits.counted(run.rows.count - 31, "more tool"))") }
    out += traits.note(
      "branches: share of points at which the rule branches, in expectation and without a budget"
        + (hasForks ? "; logged: share of points at which the log has a fork" : ""))
    let share = Double(all.blind) / Double(max(1, all.withChange))
    out += traits.wrapped(
      "\(traits.grouped(all.blind)) of \(traits.counted(all.withChange, "decision")) (\(percentText(share))) are blind to"
        + " entropy: dH = 0 exactly" + (all.blind > 0 ? blindReason : ""))
    return out
  }

  private var blindReason: String {
    options.rule == .code && options.usedTiming == .lagged
      ? ", as the segment is its own baseline (the first one of a root or of a fork)" : ""
  }

  private var hasForks: Bool { run.forks.forks > 0 }

  /// Why there is no dH at all.
  private var missing: String {
    var out = traits.wrapped("no decision has a dH: \(BranchWords.missing(run, options))", style: .red)
    out += traits.note(
      "what needs no entropy is still there: arpo-replay budget, and tree-grpo and global in arpo-replay simulate")
    return out
  }

  private func small(_ x: Double, _ digits: Int) -> String { decimals(x, digits) }

  private func signed(_ x: Double, _ digits: Int) -> String { signedDecimals(x, digits) }

  private func interval(_ x: Estimate, _ digits: Int) -> String? { traits.ends(x, digits == 2 ? 1 : 3) }
}

extension Estimate {
  /// In another unit.
  func scaled(_ factor: Double) -> Estimate {
    Estimate(value: value.map { $0 * factor }, low: low.map { $0 * factor }, high: high.map { $0 * factor })
  }
}

/// Sentences on the rule, for pages and documents.
enum BranchWords {
  static func rule(_ rule: ARPORule, _ settings: BranchingSettings) -> String {
    switch rule {
    case .code:
      "code: branches with probability clip(bp + w dH, 0, 1); bp \(number(settings.branchProbability)),"
        + " w \(number(settings.entropyWeight))"
    case .paper:
      "paper: branches if P = alpha + beta dH is above tau; alpha \(number(settings.alpha)),"
        + " beta \(number(settings.entropyWeight)), tau \(number(settings.tau))"
    }
  }

  static func timing(_ options: BranchingOptions) -> String {
    switch options.usedTiming {
    case .lagged:
      "lagged: dH of the segment before the call" + (options.rule == .code ? ", as ARPO's code decides" : "")
    case .postResult:
      "post-result: dH of the tokens behind the result" + (options.rule == .paper ? ", as the paper has it" : "")
    }
  }

  static func entropy(_ run: RunBranches, _ options: BranchingOptions) -> String {
    let k = run.settings.windowTokens
    let names = run.estimators.compactMap(\.name)
    let vocabulary = run.run.vocabSize.map(String.init) ?? "unknown"
    if options.rule == .code {
      let own = "-p ln p over the \(run.settings.topK) likeliest tokens and the sampled one"
      let others = names.filter { $0 != "arpo" }
      let what = others.isEmpty ? own : "\(others.joined(separator: ", ")) entropy"
      return "H = sum over the first \(k) generated tokens of \(what), over ln V, V \(vocabulary); initial: the"
        + " trajectory's own first segment"
    }
    let divisor = options.usedNormalizer == .vocabulary ? "V" : "ln V"
    return "dH = sum over the first \(k) generated tokens of \(names.isEmpty ? "topk" : names.joined(separator: ", "))"
      + " entropy now minus at the start of the path, over \(divisor), V \(vocabulary)"
  }

  static func missing(_ run: RunBranches, _ options: BranchingOptions) -> String {
    if run.textOnly == run.trajectories { return "the log is text only: no tokens, no logprobs" }
    let labels = run.evidence.map(\.label).joined(separator: ",")
    let hasCandidates = labels.contains("top_logprobs")
    let hasEntropies = labels.contains("entropies")
    if run.run.vocabSize == nil, hasCandidates || hasEntropies || options.estimator == .sampledNLL {
      return "the log does not name the vocabulary's size; --vocab-size gives it"
    }
    if labels.contains("sampled_logprobs"), !hasCandidates, !hasEntropies {
      return
        "the log has no top-k logprobs and no entropies; --estimator sampled-nll takes the surprisal of the sampled"
        + " tokens instead"
    }
    return "the log has neither top-k logprobs nor entropies behind its tool calls"
  }

  private static func number(_ x: Double) -> String { CellValue.double(x).csv }
}
