import Replay

/// The advantages of a path as a blob holds them.
struct StoredAdvantages: Sendable, Equatable {
  /// The path's generated runs.
  var generated: [Range<Int>] = []
  /// Tokens of the path.
  var length = 0
  /// Generated tokens with one value; empty: every value is one token's.
  var stretches: [Int] = []
  /// The values, in path order.
  var values: [Double] = []

  /// One value for each generated token.
  var tokenValues: [Double] {
    if stretches.isEmpty { return values }
    return zip(values, stretches).flatMap { [Double](repeating: $0, count: $1) }
  }

  /// One value for each token of the path, 0 for inserted ones.
  var alignedValues: [Double] {
    var out = [Double](repeating: 0, count: length)
    var rest = tokenValues[...]
    for run in generated {
      out.replaceSubrange(run, with: rest.prefix(run.count))
      rest = rest.dropFirst(run.count)
    }
    return out
  }

  /// The values as strategies give them: runs, cut where generation stops, or one a token.
  var path: PathAdvantages {
    if stretches.isEmpty { return .tokens(values) }
    var runs: [AdvantageRun] = []
    var k = 0
    var left = stretches.first ?? 0
    for range in generated {
      var at = range.lowerBound
      while at < range.upperBound, k < values.count {
        let n = min(left, range.upperBound - at)
        if n > 0 { runs.append(AdvantageRun(range: at..<(at + n), value: values[k])) }
        at += n
        left -= n
        if left == 0 {
          k += 1
          left = k < stretches.count ? stretches[k] : 0
        }
      }
    }
    return .runs(runs)
  }
}
