import ArgumentParser

/// How a command writes its rows to standard output.
enum OutputFormat: String, CaseIterable, Sendable, ExpressibleByArgument {
  /// Aligned columns for a person to read.
  case table
  /// One array of objects.
  case json
  /// One object a line.
  case ndjson
  /// RFC 4180 with a header line; null is an empty field.
  case csv
}

/// When to colour the output.
enum ColorChoice: String, CaseIterable, Sendable, ExpressibleByArgument {
  /// On a terminal, unless the environment asks for none.
  case auto
  case always
  case never
}
