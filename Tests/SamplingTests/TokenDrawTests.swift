import AdaptiveRollout
import Foundation
import Testing

@testable import Sampling

@Suite struct TokenDrawTests {
  private let probabilities: [Double] = [0.1, 0.4, 0.2, 0.25, 0.05]
  private var logprobs: [Float] { probabilities.map { Float(log($0)) } }

  private func frequencies(_ settings: SamplingSettings, draws: Int = 20_000) -> [Double] {
    var random = SeededRandom(seed: 5)
    var counts = [Double](repeating: 0, count: probabilities.count)
    for _ in 0..<draws { counts[Int(TokenDraw(from: logprobs, settings, top: 0, using: &random).id)] += 1 }
    return counts.map { $0 / Double(draws) }
  }

  @Test func tokensComeAsOftenAsTheyShould() {
    for (f, p) in zip(frequencies(SamplingSettings()), probabilities) { #expect(abs(f - p) < 0.015) }
    let cold = probabilities.map { $0 * $0 }
    let total = cold.reduce(0, +)
    for (f, p) in zip(frequencies(SamplingSettings(temperature: 0.5)), cold) { #expect(abs(f - p / total) < 0.015) }
  }

  @Test func nucleusAndTopKCutAndRenormalise() {
    // 0.4 + 0.25 = 0.65 reaches 0.6; 0.4 does not.
    let nucleus = frequencies(SamplingSettings(topP: 0.6))
    #expect(abs(nucleus[1] - 0.4 / 0.65) < 0.015)
    #expect(nucleus[0] == 0 && nucleus[2] == 0 && nucleus[4] == 0)
    let two = frequencies(SamplingSettings(topK: 1))
    #expect(two[1] == 1)
    var random = SeededRandom(seed: 1)
    let draw = TokenDraw(from: logprobs, SamplingSettings(topP: 0.6), top: 4, using: &random)
    #expect(draw.top.map(\.id) == [1, 3])
    #expect(abs(Double(draw.top[0].logprob) - log(0.4 / 0.65)) < 1e-6)
    let p = 0.4 / 0.65
    #expect(abs(Double(draw.entropy) + p * log(p) + (1 - p) * log(1 - p)) < 1e-6)
  }

  @Test func greedyTakesTheLikeliestAndIsSure() {
    var random = SeededRandom(seed: 1)
    let draw = TokenDraw(from: logprobs, SamplingSettings(temperature: 0), top: 3, using: &random)
    #expect(draw.id == 1)
    #expect(draw.logprob == 0)
    #expect(draw.entropy == 0)
    #expect(draw.top.count == 1)
  }

  /// Whatever the numbers: the probability logged is that of the token drawn, and never above 1.
  @Test(arguments: 0..<40 as Range<UInt64>) func loggedNumbersAreTheDistributions(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let logits = (0..<30).map { _ in Float(3 * random.normal()) }
    let settings = SamplingSettings(
      temperature: 0.25 + 2 * random.unit(), topP: seed % 2 == 0 ? 1 : 0.05 + 0.95 * random.unit(),
      topK: seed % 3 == 0 ? 1 + random.below(30) : 0)
    let draw = TokenDraw(from: logits, settings, top: 30, using: &random)
    let total = draw.top.reduce(0) { $0 + exp(Double($1.logprob)) }
    #expect(abs(total - 1) < 1e-5)
    #expect(draw.top.contains { $0.id == draw.id && $0.logprob == draw.logprob })
    let entropy = draw.top.reduce(0) { $0 - exp(Double($1.logprob)) * Double($1.logprob) }
    #expect(abs(entropy - Double(draw.entropy)) < 1e-5)
    #expect(draw.logprob <= 0)
  }
}
