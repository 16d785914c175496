import Replay

extension TerminalTraits {
  /// A heading within a page.
  func heading(_ text: String) -> String { wrapped(text, style: .bold) }

  /// A line that explains, wrapped.
  func note(_ text: String) -> String { wrapped(text, style: .dim) }

  /// A fact with its name before it, in columns that the names of a page share.
  func fact(_ name: String, _ text: String, style: TextStyle = .plain) -> String {
    wrapped(safe(text), first: name, firstStyle: .dim, indent: 11, style: style)
  }

  /// The first lines of a run's page.
  func title(run: String, facts: [String]) -> String {
    styled("run \(cut(safe(run), to: proseWidth - 4))", .bold) + "\n"
      + wrapped(facts.joined(separator: separator))
  }

  /// An interval's ends, `nil` if there is none.
  func ends(_ x: Estimate, _ digits: Int = 3) -> String? {
    guard x.value != nil, let low = x.low, let high = x.high else { return nil }
    return decimals(low, digits) + rangeMark + decimals(high, digits)
  }

  /// A number with its interval, for prose.
  func told(_ x: Estimate, _ digits: Int = 4) -> String {
    guard let value = x.value else { return absent }
    return decimals(value, digits) + (ends(x, digits).map { " (95 % \($0))" } ?? "")
  }

  /// How intervals were had.
  func intervals(replicates: Int, seed: UInt64) -> String {
    replicates == 0
      ? "none (no bootstrap replicates)"
      : "95 %, bootstrap over prompt groups: \(grouped(replicates)) replicates, seed \(seed)"
  }
}

extension Estimate {
  /// Value and ends as cells of a row.
  var cells: [CellValue] { [.number(value), .number(low), .number(high)] }

  /// Value and ends as members of an object.
  func members(_ name: String) -> [(String, DocumentValue)] {
    [(name, .number(value)), (name + "_low", .number(low)), (name + "_high", .number(high))]
  }
}
