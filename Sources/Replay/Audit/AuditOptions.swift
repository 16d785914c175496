/// What an entropy audit is to compute.
public struct AuditOptions: Sendable {
  /// Stretches after a tool result, in generated tokens from its end.
  public var windows: [Range<Int>] = [0..<10, 10..<50, 0..<20, 0..<50]
  /// Generated tokens at the start of a trajectory whose mean is its initial entropy.
  public var baselineTokens = 20
  /// `nil`: the best that the log's evidence allows, chosen for each run.
  public var estimator: Estimator?
  /// Temperature to which listed logprobs are rescaled (an approximation); `nil`: as logged.
  public var temperature: Double?
  /// Replicates behind every interval; 0 computes none.
  public var bootstrapReplicates = 1000
  /// Seed of the bootstrap's weights.
  public var seed: UInt64 = 0
  /// Offsets of the curves, in generated tokens.
  public var curveLength = 64
  /// Where kept numbers go beyond `valuesInMemory`; `nil`: they stay in memory.
  public var spill: SpillFactory?
  /// Doubles that each accumulator keeps in memory before it spills (of bytes of records eight times as many).
  public var valuesInMemory = 1 << 18

  /// The defaults.
  public init() {}

  /// The change of temperature for a run, `nil` if there is none.
  func rescaling(of run: ReplayRun) -> TemperatureChange? {
    guard let temperature, temperature != run.logprobTemperature else { return nil }
    return TemperatureChange(from: run.logprobTemperature, to: temperature)
  }

  /// The estimators to compute: the one asked for, else every one that could be chosen.
  var estimators: [Estimator] {
    if let estimator { return [estimator] }
    return [.exact, .topk, .sampledNLL]
  }
}
