import ArgumentParser

/// How a command writes rows.
struct OutputArguments: ParsableArguments {
  @Option(help: "Output: table, json, ndjson or csv.")
  var format: OutputFormat = .table

  @OptionGroup private var style: PlainArguments

  var traits: TerminalTraits { style.traits }
}

/// How a command writes a report that has no rows.
struct ReportArguments: ParsableArguments {
  @Option(help: "Output: table or json.")
  var format: OutputFormat = .table

  @OptionGroup private var style: PlainArguments

  func validate() throws {
    guard [.table, .json].contains(format) else { throw ValidationError("--format is table or json here") }
  }

  var traits: TerminalTraits { style.traits }
}

/// What pages may be drawn with.
struct PlainArguments: ParsableArguments {
  @Flag(help: "Only ASCII, no colour.")
  var plain = false

  var traits: TerminalTraits { plain ? TerminalTraits.standardOutput.plain : .standardOutput }
}
