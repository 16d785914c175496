/// Limits beyond which an update is worth a warning, or the run is stopped before the update is applied.
///
/// VCPO (arXiv 2602.17616) reports that collapse under stale data is announced by the effective sample size and by
/// spikes of the gradient norm.
public struct TrainingGuards: Sendable, Equatable {
  /// A pair of limits; `nil` = none.
  public struct Limit: Sendable, Equatable {
    /// Beyond this: a warning.
    public var warn: Double?
    /// Beyond this: a stop.
    public var stop: Double?

    /// A pair of limits.
    public init(warn: Double? = nil, stop: Double? = nil) {
      self.warn = warn
      self.stop = stop
    }
  }

  /// Effective share of the sample under the importance weights, from below.
  public var effectiveSample = Limit(warn: 0.3)
  /// |KL| between the ratio's anchor and the policy, nats a token.
  public var kl = Limit(warn: 0.1)
  /// Share of clipped tokens.
  public var clipShare = Limit(warn: 0.5)
  /// Gradient norm as a multiple of the median of recent ones.
  public var gradientSpike = Limit(warn: 10)
  /// Mean importance ratio outside: a warning.
  public var meanWeight = 0.5...2.0
  /// Updates in a row that were skipped because of numbers that are not finite: a stop.
  public var skippedInARow = 3

  /// Gradient norms that a spike is compared with.
  public static let window = 32
  /// With fewer of them nothing is a spike.
  static let enough = 8

  /// The defaults: warnings only.
  public init() {}

  /// What is beyond its limit in an update.
  ///
  /// - Parameter recentNorms: gradient norms of the updates before.
  func findings(
    _ statistics: UpdateStatistics, gradientNorm: Double, recentNorms: [Double]
  ) -> [GuardFinding] {
    var out: [GuardFinding] = []
    func check(_ kind: GuardFinding.Kind, _ value: Double, _ limit: Limit, _ text: String, below: Bool = false) {
      func isBeyond(_ x: Double?) -> Bool { x.map { below ? value < $0 : value > $0 } ?? false }
      if isBeyond(limit.stop) {
        out.append(GuardFinding(kind: kind, text: text, isStop: true))
      } else if isBeyond(limit.warn) {
        out.append(GuardFinding(kind: kind, text: text, isStop: false))
      }
    }
    if let ess = statistics.effectiveSampleShare {
      check(
        .effectiveSample, ess, effectiveSample, "effective sample size is \(percent(ess)) of the tokens", below: true)
    }
    if let kl = statistics.approximateKL {
      check(.kl, abs(kl), self.kl, "ppo_kl is \(short(kl)) nats a token")
    }
    check(.clipShare, statistics.clipShare, clipShare, "\(percent(statistics.clipShare)) of the tokens are clipped")
    if let mean = statistics.meanWeight, !meanWeight.contains(mean) {
      out.append(
        GuardFinding(kind: .meanWeight, text: "the mean importance ratio is \(short(mean))", isStop: false))
    }
    if recentNorms.count >= Self.enough {
      let sorted = recentNorms.sorted()
      let median = sorted[sorted.count / 2]
      if median > 0 {
        let times = gradientNorm / median
        check(
          .gradientSpike, times, gradientSpike,
          "gradient norm \(short(gradientNorm)) is \(short(times)) times the median")
      }
    }
    return out
  }

  private func short(_ x: Double) -> String {
    let scale = x == 0 ? 1 : 1000 / tenPower(of: x)
    return "\((x * scale).rounded() / scale)"
  }

  /// The power of ten at or below |x|.
  private func tenPower(of x: Double) -> Double {
    var p = 1.0
    while p * 10 <= abs(x) { p *= 10 }
    while p > abs(x) { p /= 10 }
    return p
  }

  private func percent(_ x: Double) -> String { "\((x * 1000).rounded() / 10) %" }
}

/// Something about an update that a person should know.
public struct GuardFinding: Sendable, Equatable {
  /// What it is about.
  public enum Kind: String, Sendable, CaseIterable {
    case effectiveSample = "low_ess"
    case kl = "high_kl"
    case clipShare = "high_clip_share"
    case gradientSpike = "gradient_spike"
    case meanWeight = "mean_weight"
    case notFinite = "not_finite"
  }

  /// What it is about.
  public var kind: Kind
  /// What was measured.
  public var text: String
  /// Whether the run must stop.
  public var isStop: Bool
}
