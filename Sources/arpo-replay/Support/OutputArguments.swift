import ArgumentParser

/// How a command writes rows.
struct OutputArguments: ParsableArguments {
  @Option(help: "Output.")
  var format: OutputFormat = .table

  @OptionGroup private var style: PlainArguments

  var traits: TerminalTraits { style.traits }
}

/// How a command writes a report that has no rows.
struct ReportArguments: ParsableArguments {
  @Option(name: .customLong("format"), help: "Output.")
  private var choice: Choice = .table

  /// The formats that the help offers are those that there are.
  private enum Choice: String, CaseIterable, ExpressibleByArgument {
    case table, json
  }

  @OptionGroup private var style: PlainArguments

  var format: OutputFormat { choice == .json ? .json : .table }

  var traits: TerminalTraits { style.traits }
}

/// What pages may be drawn with.
struct PlainArguments: ParsableArguments {
  @Flag(help: "Only ASCII, no colour.")
  var plain = false

  var traits: TerminalTraits { plain ? TerminalTraits.standardOutput.plain : .standardOutput }
}
