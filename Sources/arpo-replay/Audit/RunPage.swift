import Replay

/// The page of one run.
struct RunPage {
  let report: AuditReport
  let run: RunAudit
  let traits: TerminalTraits

  /// The sections, a blank line between them.
  func text(by: [AuditDimension], curve: Bool) -> String {
    var sections = [title + (run.estimator == nil ? nothingComputable : evidence)]
    if run.estimator != nil {
      sections.append(baseline + mainTable)
      sections.append(findings)
      sections += by.filter { $0 != .tool }.compactMap(dimensionTable)
      if curve, let drawn = curveChart { sections.append(drawn) }
    } else {
      sections.append(findings)
    }
    if let missing { sections.append(missing) }
    return sections.joined(separator: "\n")
  }

  /// A heading within the page.
  func heading(_ text: String) -> String { traits.wrapped(text, style: .bold) }

  /// A line that explains, wrapped.
  func note(_ text: String) -> String { traits.wrapped(text, style: .dim) }

  private var title: String {
    var facts = [
      traits.counted(run.groups, "group"), traits.counted(run.trajectories, "trajectory", "trajectories"),
      traits.counted(run.toolResults, "tool result"),
    ]
    if run.executedCalls != run.toolResults { facts[2] += " (\(traits.counted(run.executedCalls, "executed call")))" }
    facts.append(traits.counted(run.generatedTokens, "generated token"))
    if let algorithm = run.algorithm { facts.insert(traits.safe(algorithm), at: 0) }
    let name = traits.cut(traits.safe(run.runID), to: traits.proseWidth - 4)
    return traits.styled("run \(name)", .bold) + "\n" + traits.wrapped(facts.joined(separator: traits.separator))
  }
}
