import Replay

extension RunPage {
  /// The paper's pilot observations, held against this run.
  var findings: String {
    if run.findings.isEmpty { return "" }
    var out = heading("Pilot findings of the ARPO paper, in this log")
    if run.estimator == nil, let reason = run.findings.first?.reason {
      return out + traits.wrapped("none of the \(run.findings.count) can be told: \(traits.safe(reason))")
    }
    for finding in run.findings {
      let mark = mark(finding.verdict)
      let indent = traits.unicode ? 2 : 4
      out += traits.wrapped(
        "\(finding.number). \(traits.safe(finding.statement)): \(finding.verdict.rawValue)",
        first: mark.text, firstStyle: mark.style, indent: indent)
      out += traits.wrapped(
        traits.safe(finding.reason), indent: indent + 3, style: .dim)
    }
    return out
  }

  private func mark(_ verdict: PilotFinding.Verdict) -> (text: String, style: TextStyle) {
    switch verdict {
    case .supported: (traits.unicode ? "✓" : "yes", .green)
    case .notSupported: (traits.unicode ? "✗" : "no", .red)
    case .cannotTell: ("?", .yellow)
    }
  }
}
