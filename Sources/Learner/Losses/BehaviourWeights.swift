import Foundation

/// Importance weights of logged tokens: pi / mu, bounded so that a few tokens cannot rule an update.
///
/// Weights are constants in the gradient. Source: verl rollout_corr_helper.py (levels, +-20), IcePop (masking), slime
/// `rs_veto_threshold`.
public struct BehaviourWeights: Sendable, Equatable {
  /// What a ratio is taken over.
  public enum Level: String, Sendable, CaseIterable {
    /// Each token's own ratio.
    case token
    /// The product over the trajectory, on every token of it.
    case sequence
    /// The geometric mean over the trajectory, on every token of it.
    case geometric
  }

  /// What happens to large weights.
  public enum Bound: Sendable, Equatable {
    /// min(w, cap).
    case truncate(Double)
    /// Weights outside become 0 (IcePop).
    case mask(ClosedRange<Double>)
  }

  /// Of what.
  public var level: Level
  /// Where they end.
  public var bound: Bound
  /// A trajectory with a token ratio below this has weight 0; `nil` = none.
  public var veto: Double?
  /// Whether the weights of an update are divided by their mean.
  public var isNormalised: Bool

  /// Weights of a level with a bound.
  public init(_ level: Level = .token, _ bound: Bound = .truncate(2), veto: Double? = nil, isNormalised: Bool = false) {
    self.level = level
    self.bound = bound
    self.veto = veto
    self.isNormalised = isNormalised
  }

  /// The weights of tokens, and what was done to them.
  ///
  /// - Parameters:
  ///   - numerator: logprobs under the policy above the line.
  ///   - behaviour: logprobs under mu.
  ///   - rows: the trajectories.
  ///   - multiplicities: by row, for the mean of ``isNormalised``.
  public func weights(
    numerator: [Double], behaviour: [Double], rows: [Range<Int>], multiplicities: [Double]
  ) -> WeightedTokens {
    var out = WeightedTokens(count: numerator.count)
    for row in rows {
      var sum = 0.0
      var smallest = Double.infinity
      for i in row {
        let x = numerator[i] - behaviour[i]
        sum += x
        smallest = min(smallest, x)
      }
      let isVetoed = veto.map { smallest < log($0) } ?? false
      if isVetoed, !row.isEmpty { out.vetoedRows += 1 }
      for i in row {
        let x =
          switch level {
          case .token: numerator[i] - behaviour[i]
          case .sequence: sum
          case .geometric: sum / Double(row.count)
          }
        let raw = exp(min(max(x, -logRatioBound), logRatioBound))
        out.ratios[i] = raw
        if isVetoed { continue }
        switch bound {
        case .truncate(let cap): out.weights[i] = min(raw, cap)
        case .mask(let band): out.weights[i] = band.contains(raw) ? raw : 0
        }
      }
    }
    if isNormalised { normalise(&out.weights, rows, multiplicities) }
    return out
  }

  /// Divides by the mean over tokens, or, for trajectory weights, over trajectories; all zeros stay.
  private func normalise(_ weights: inout [Double], _ rows: [Range<Int>], _ multiplicities: [Double]) {
    var sum = 0.0
    var n = 0.0
    for (row, m) in zip(rows, multiplicities) {
      if level == .token {
        for i in row { sum += m * weights[i] }
        n += m * Double(row.count)
      } else if let first = row.first {
        sum += m * weights[first]
        n += m
      }
    }
    guard sum > 0 else { return }
    for i in weights.indices { weights[i] *= n / sum }
  }
}

/// Importance weights of tokens.
public struct WeightedTokens: Sendable {
  /// The weights, 0 where a token is masked.
  public var weights: [Double]
  /// Before bounds.
  public var ratios: [Double]
  /// Trajectories that a single token ruled out.
  public var vetoedRows = 0

  init(count: Int) {
    weights = [Double](repeating: 0, count: count)
    ratios = weights
  }
}

/// How many equally weighted tokens are worth as much as weighted ones.
public struct EffectiveSampleSize: Sendable, Equatable {
  /// (sum w)² / sum w²; 0 for no weights, or only zeros.
  public private(set) var count = 0.0
  /// The same divided by the number of weights, in 0...1 (verl's rollout_is_eff_sample_size).
  public private(set) var share = 0.0

  /// Of a list of weights.
  public init(_ weights: some Sequence<Double>) {
    var n = 0
    var sum = 0.0
    var squares = 0.0
    for w in weights {
      n += 1
      sum += w
      squares += w * w
    }
    self.init(count: Double(n), sum: sum, squares: squares)
  }

  /// From sums over the weights.
  public init(count n: Double, sum: Double, squares: Double) {
    guard squares > 0 else { return }
    count = sum * sum / squares
    share = count / n
  }
}
