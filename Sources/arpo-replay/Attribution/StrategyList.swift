import Replay

/// What `attribute --list-strategies` shows.
enum StrategyList {
  static let columns: [OutputColumn] = ["name", "kind", "scope", "needs", "parameters", "formula", "source"]

  /// One row for each strategy; a table has the formula on a line below, as it is long.
  static func write(_ format: OutputFormat, traits: TerminalTraits) throws {
    if format == .table { return try writeText(traits) }
    let writer = RowWriter(format: format, columns: columns, traits: traits)
    for strategy in AttributionStrategies.all {
      try writer.write([
        .text(strategy.name), .text(strategy.kind.rawValue), .text(strategy.scope.rawValue),
        .text(strategy.needs.evidence.joined(separator: ",")), .text(parameters(strategy)), .text(strategy.formula),
        .text(strategy.source),
      ])
    }
    try writer.finish()
  }

  private static func writeText(_ traits: TerminalTraits) throws {
    let output = BufferedOutput()
    for strategy in AttributionStrategies.all {
      let facts = [
        strategy.kind == .leaf ? "a value a leaf" : "a value a token",
        strategy.scope == .group ? "statistics of the group" : "statistics of the step's batch",
        "reads " + strategy.needs.evidence.joined(separator: ", "),
      ]
      output.write(traits.styled(strategy.name, .bold) + "\n")
      output.write(traits.wrapped(strategy.formula, indent: 2))
      output.write(traits.wrapped(facts.joined(separator: traits.separator), indent: 2, style: .dim))
      for parameter in strategy.parameters where parameter.allowed != nil {
        let value = parameter.value.map { DocumentText.json(.double($0)) } ?? "off"
        output.write(
          traits.wrapped(
            "--param \(strategy.name).\(parameter.name)=\(value)  \(parameter.meaning)", indent: 2, style: .dim))
      }
      output.write(traits.wrapped("source: " + strategy.source, indent: 2, style: .dim))
    }
    try output.flush()
  }

  /// `name=value` of every parameter.
  static func parameters(_ strategy: any AttributionStrategy) -> String {
    strategy.parameters.map { "\($0.name)=\($0.value.map { DocumentText.json(.double($0)) } ?? "off")" }
      .joined(separator: " ")
  }
}
