/// What one window of a path holds.
struct WindowCell: Sendable, Equatable {
  /// All of its tokens, inherited ones too.
  var all = ValueStatistics()
  /// Those that the path's trajectory owns.
  var owned = ValueStatistics()
}

extension PathValues {
  /// Initial entropy: mean over the first `count` tokens of the path's first generation segment.
  ///
  /// It never reaches past a tool result; tokens without a value are left out.
  func baseline(_ t: Int, tokens count: Int) -> Double? {
    guard let first = paths[t].generation.first else { return nil }
    return statistics(t, first.prefix(count)).mean
  }

  /// A window of a generation segment.
  ///
  /// A window [a, b) covers the path positions s + a ..< min(s + b, e) of the segment [s, e); positions without a value
  /// keep their place.
  func cell(_ t: Int, _ window: Range<Int>, of segment: Range<Int>) -> WindowCell {
    let range = segment.window(window)
    let branch = paths[t].branch
    let owned = statistics(t, range.clamped(to: branch..<Swift.max(branch, range.upperBound)))
    if range.lowerBound >= branch { return WindowCell(all: owned, owned: owned) }
    return WindowCell(all: statistics(t, range), owned: owned)
  }
}

extension Range<Int> {
  /// Its first elements.
  func prefix(_ count: Int) -> Range<Int> { lowerBound..<Swift.min(lowerBound + count, upperBound) }

  /// A window given by offsets from the start.
  func window(_ offsets: Range<Int>) -> Range<Int> {
    Swift.min(lowerBound + offsets.lowerBound, upperBound)..<Swift.min(lowerBound + offsets.upperBound, upperBound)
  }

  /// As `a-b`.
  var label: String { "\(lowerBound)-\(upperBound)" }
}
