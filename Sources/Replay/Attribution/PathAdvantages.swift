/// The advantages of one path's generated tokens.
///
/// Inserted tokens have advantage 0 and are not in it, so sizes follow the number of runs and not that of tokens.
public enum PathAdvantages: Sendable, Equatable {
  /// The leaf is unscored, or its advantage undefined.
  case missing
  /// One value on every generated token.
  case constant(Double)
  /// Runs of equal values that cover the generated tokens in path order, none of them empty.
  case runs([AdvantageRun])
  /// A value for each generated token, in path order.
  case tokens([Double])

  /// A leaf's value, if it has one.
  public init(_ value: Double?) { self = value.map { .constant($0) } ?? .missing }

  /// The advantages, or none at all where one is not finite: rewards near the largest number have no deviations.
  var finite: PathAdvantages {
    let isFinite =
      switch self {
      case .missing: true
      case .constant(let value): value.isFinite
      case .runs(let runs): runs.allSatisfy { $0.value.isFinite }
      case .tokens(let values): values.allSatisfy(\.isFinite)
      }
    return isFinite ? self : .missing
  }

  /// The value of a leaf whose generated tokens all have the same.
  public var constant: Double? {
    guard case .constant(let value) = self else { return nil }
    return value
  }

  /// One value for each token of the path: A on generated ones, 0 on inserted ones; `nil` = missing.
  ///
  /// - Parameters:
  ///   - generated: the path's generated runs.
  ///   - length: tokens of the path.
  public func aligned(_ generated: [Range<Int>], length: Int) -> [Double]? {
    if case .missing = self { return nil }
    var out = [Double](repeating: 0, count: length)
    out.withUnsafeMutableBufferPointer { out in
      forEachRun(generated) { range, value in UnsafeMutableBufferPointer(rebasing: out[range]).update(repeating: value)
      }
    }
    return out
  }

  /// Calls the body with the stretches of the generated tokens in path order.
  ///
  /// - Parameters:
  ///   - generated: the path's generated runs.
  ///   - body: takes path indices, and the value on all of them; neighbours may have the same value.
  public func forEachRun(_ generated: [Range<Int>], _ body: (Range<Int>, Double) -> Void) {
    switch self {
    case .missing: break
    case .constant(let value): for range in generated { body(range, value) }
    case .runs(let runs): for run in runs { body(run.range, run.value) }
    case .tokens(let values):
      var k = 0
      for range in generated {
        for i in range {
          body(i..<(i + 1), values[k])
          k += 1
        }
      }
    }
  }
}

/// Neighbouring tokens of a path with one advantage.
public struct AdvantageRun: Sendable, Hashable {
  /// Path indices.
  public var range: Range<Int>
  /// The advantage of each token.
  public var value: Double

  /// A run of these tokens.
  public init(range: Range<Int>, value: Double) {
    self.range = range
    self.value = value
  }
}

/// Steps through a path's generated tokens in stretches of one value.
struct AdvantageCursor {
  /// The value of the current stretch.
  private(set) var value = 0.0
  /// Tokens left of it; 0 at the end of the path.
  private(set) var left = 0
  private let advantages: PathAdvantages
  private var next = 0

  init(_ advantages: PathAdvantages, generatedCount: Int) {
    self.advantages = advantages
    if case .constant(let x) = advantages {
      value = x
      left = generatedCount
    } else {
      advance()
    }
  }

  /// Goes on by some of the tokens left.
  mutating func skip(_ count: Int) {
    left -= count
    if left == 0 { advance() }
  }

  private mutating func advance() {
    switch advantages {
    case .missing, .constant: break
    case .runs(let runs):
      guard next < runs.count else { return }
      value = runs[next].value
      left = runs[next].range.count
    case .tokens(let values):
      guard next < values.count else { return }
      value = values[next]
      left = 1
    }
    next += 1
  }
}
