import Replay
import Rollouts

/// Explanations of one token as text, as JSON, and as rows.
struct ExplanationRenderer {
  let found: ExplanationRun.Found
  let strategies: [any AttributionStrategy]
  let traits: TerminalTraits

  /// One section for each strategy.
  var text: String {
    var place = ["run \(traits.safe(found.group.run.id))", "group \(traits.safe(found.group.id))"]
    if let step = found.group.step { place.append("step \(step)") }
    var out = traits.styled("token \(found.index) of \(traits.safe(found.trajectory))", .bold)
    if let segment = found.segment {
      out += traits.safe(" (\(segment.kind.words)\(segment.tool.map { " \($0)" } ?? ""))")
    }
    out += "\n" + traits.wrapped(place.joined(separator: traits.separator))
    for (strategy, explanation) in zip(strategies, found.explanations) {
      out += "\n" + traits.styled(strategy.name, .bold) + "\n"
      out += traits.wrapped(strategy.formula, indent: 2)
      out += traits.wrapped("source: \(strategy.source)", indent: 2, style: .dim)
      out += lines(explanation)
      for note in explanation.notes { out += traits.wrapped(traits.safe(note), indent: 2) }
    }
    return out
  }

  /// Symbol and value, then how it comes about.
  private func lines(_ explanation: Explanation) -> String {
    guard explanation.isDefined else { return "" }
    let width = min(28, explanation.terms.map { displayWidth(of: traits.safe($0.symbol)) }.max() ?? 0)
    let numbers = explanation.terms.map { DocumentText.json(.double($0.expression.value)) }
    let digits = numbers.map(\.count).max() ?? 0
    return zip(explanation.terms, numbers).map { term, number in
      let symbol = padded(traits.cut(traits.safe(term.symbol), to: width), to: width)
      var out = traits.styled("  \(symbol) = \(padded(number, to: digits))", term.symbol == "A" ? .bold : .plain)
      let room = max(20, traits.width - width - digits - 8)
      out += traits.styled("  \(traits.cut(traits.safe(term.meaning), to: room))", .dim) + "\n"
      if case .number = term.expression { return out }
      return out
        + traits.wrapped(
          traits.safe("= " + term.expression.shortText), indent: width + 3)
    }.joined()
  }

  /// Everything, under the schema `arpo-replay/explanation/1`.
  var document: DocumentValue {
    .object([
      ("schema", .string("arpo-replay/explanation/1")), ("run_id", .string(found.group.run.id)),
      ("group_id", .string(found.group.id)), ("step", .integer(found.group.step)),
      ("trajectory_id", .string(found.trajectory)), ("token", .int(found.index)),
      ("kind", .text(found.segment?.kind.rawValue)), ("tool", .text(found.segment?.tool)),
      (
        "strategies",
        .array(
          strategies.indices.map { s in
            let explanation = found.explanations[s]
            return .object([
              ("strategy", .string(strategies[s].name)), ("formula", .string(strategies[s].formula)),
              ("source", .string(strategies[s].source)), ("advantage", .number(found.advantages[s])),
              ("terms", .array(explanation.isDefined ? explanation.terms.map(term) : [])),
              ("notes", .array(explanation.notes.map { .string($0) })),
            ])
          })
      ),
    ])
  }

  private func term(_ term: Explanation.Term) -> DocumentValue {
    .object([
      ("symbol", .string(term.symbol)), ("value", .double(term.expression.value)),
      ("expression", .string(term.expression.text)), ("meaning", .string(term.meaning)),
    ])
  }

  static let columns: [OutputColumn] = [
    "run_id", "group_id", "step", "trajectory_id", "token", "strategy", "symbol", "value", "expression", "meaning",
  ]

  /// One row for each term; a strategy that leaves the token without an advantage has one row that says why.
  var rows: [[CellValue]] {
    zip(strategies, found.explanations).flatMap { strategy, explanation in
      let head: [CellValue] = [
        .text(found.group.run.id), .text(found.group.id), .integer(found.group.step), .text(found.trajectory),
        .int(found.index), .text(strategy.name),
      ]
      if !explanation.isDefined {
        return [head + [.text("A"), .null, .null, .text(explanation.notes.joined(separator: "; "))]]
      }
      return explanation.terms.map {
        head + [.text($0.symbol), .double($0.expression.value), .text($0.expression.text), .text($0.meaning)]
      }
    }
  }
}
