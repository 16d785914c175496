/// The windows after one tool result of one path.
public struct WindowEvent: Sendable {
  /// Position of the trajectory in the group.
  public var trajectory: Int
  /// Number of the result on the path.
  public var result: Int
  /// Index of the first token behind the result.
  public var start: Int
  /// Initial entropy of the trajectory, in nats.
  public var baseline: Double?
  /// One for each window.
  public var windows: [WindowCell]
}

/// What one window of a path holds.
public struct WindowCell: Sendable, Equatable {
  /// All of its tokens, inherited ones too.
  public var all = ValueStatistics()
  /// Those that the path's trajectory owns.
  public var owned = ValueStatistics()
}

extension PathValues {
  /// Initial entropy: mean over the first `count` tokens of the path's first generation segment.
  ///
  /// It never reaches past a tool result; tokens without a value are left out.
  func baseline(_ t: Int, tokens count: Int) -> Double? {
    guard let first = paths[t].firstGeneration else { return nil }
    return statistics(t, first.prefix(count)).mean
  }

  /// The windows after every tool result of a path that a generation segment follows.
  ///
  /// A window [a, b) covers the path positions s + a ..< min(s + b, e) of that segment [s, e); positions without a value
  /// keep their place.
  public func windowEvents(_ t: Int, windows: [Range<Int>], baselineTokens: Int) -> [WindowEvent] {
    let baseline = baseline(t, tokens: baselineTokens)
    return paths[t].results.indices.compactMap { r in
      guard let segment = paths[t].window(after: r) else { return nil }
      return WindowEvent(
        trajectory: t, result: r, start: segment.lowerBound, baseline: baseline,
        windows: windows.map { cell(t, $0, of: segment) })
    }
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
