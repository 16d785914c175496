public import AdaptiveRollout

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How the next token is drawn.
public struct SamplingSettings: Sendable, Equatable {
  /// Logits are divided by it; 0: the likeliest token.
  public var temperature: Double
  /// Nucleus: the fewest likeliest tokens whose probabilities sum to at least this (Holtzman and others, 2020).
  public var topP: Double
  /// Only so many of the likeliest tokens; 0: all.
  public var topK: Int

  /// Plain sampling unless told otherwise.
  public init(temperature: Double = 1, topP: Double = 1, topK: Int = 0) {
    self.temperature = temperature
    self.topP = topP
    self.topK = topK
  }
}

/// A token that was drawn, and the distribution it was drawn from: after temperature, top-k and top-p, renormalised.
public struct TokenDraw: Sendable, Equatable {
  /// A likely token.
  public struct Candidate: Sendable, Equatable {
    public var id: Int32
    public var logprob: Float
  }

  public var id: Int32
  /// Natural logarithm of its probability.
  public var logprob: Float
  /// Entropy of the distribution, nats.
  public var entropy: Float
  /// The likeliest tokens, likeliest first, as many as were asked for.
  public var top: [Candidate]

  /// Draws a token.
  ///
  /// - Parameters:
  ///   - logprobs: by token id, ln p at temperature 1 (or logits: a common constant changes nothing).
  ///   - top: how many candidates to report.
  public init(
    from logprobs: [Float], _ settings: SamplingSettings, top count: Int, using random: inout SeededRandom
  ) {
    let isGreedy = settings.temperature == 0
    let isCut = settings.topP < 1 || settings.topK > 0
    // Likeliest first, of equal ones the smaller id: only where the order matters.
    var order: [Int]?
    if isGreedy || isCut || count > 0 {
      order = logprobs.indices.sorted { (logprobs[$1], $0) < (logprobs[$0], $1) }
    }
    let scale = isGreedy ? 1 : 1 / settings.temperature
    let best = Double(logprobs.max() ?? 0) * scale
    var kept = order ?? Array(logprobs.indices)
    if isGreedy { kept = Array(kept.prefix(1)) }
    if settings.topK > 0 { kept = Array(kept.prefix(settings.topK)) }
    var weights = kept.map { exp(Double(logprobs[$0]) * scale - best) }
    var total = weights.reduce(0, +)
    if settings.topP < 1, !isGreedy {
      var sum = 0.0
      let end = weights.firstIndex { weight in
        sum += weight
        return sum >= settings.topP * total
      }
      weights = Array(weights.prefix((end ?? weights.count - 1) + 1))
      kept = Array(kept.prefix(weights.count))
      total = weights.reduce(0, +)
    }
    let point = random.unit() * total
    var sum = 0.0
    let chosen =
      weights.firstIndex { weight in
        sum += weight
        return point < sum
      } ?? weights.count - 1
    let logTotal = log(total)
    func logprob(_ k: Int) -> Double { Double(logprobs[kept[k]]) * scale - best - logTotal }
    var entropy = 0.0
    for (k, weight) in weights.enumerated() where weight > 0 { entropy -= weight / total * logprob(k) }
    id = Int32(kept[chosen])
    self.logprob = Float(min(0, logprob(chosen)))
    self.entropy = Float(max(0, entropy))
    top = kept.indices.prefix(count).map { Candidate(id: Int32(kept[$0]), logprob: Float(min(0, logprob($0)))) }
  }
}
