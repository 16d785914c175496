import Foundation
import Replay
import Rollouts
import Testing
import TestSupport

/// The definitions of the reference, one position at a time.
private struct Definition {
  var ids: [Int32]
  var logprobs: [Double]
  var sampled: Int32
  var sampledLogprob: Double?
  var vocabSize: Int?

  var listed: [Double] {
    guard let l = sampledLogprob, !ids.contains(sampled) else { return logprobs }
    return logprobs + [l]
  }

  func plogp(_ lps: [Double]) -> Double { lps.reduce(0) { $0 - exp($1) * $1 } }

  var topk: Double { plogp(listed) }

  var renormalized: Double {
    let top = listed.max() ?? 0
    let z = listed.reduce(0) { $0 + exp($1 - top) }
    return plogp(listed.map { $0 - top - log(z) })
  }

  var bounds: (Double?, Double?) {
    let others = zip(ids, logprobs).filter { $0.0 != sampled }.map(\.1)
    let c = others.min().map { exp($0) } ?? .infinity
    let s = topk
    let r = max(0, 1 - listed.reduce(0) { $0 + exp($1) })
    let m = vocabSize.map { Double($0 - listed.count) } ?? .infinity
    if r == 0 || m <= 0 { return (s, vocabSize == nil ? nil : s) }
    let upper = vocabSize == nil ? nil : s - r * log(r / m)
    if r > m * c { return (upper, upper) }
    if c == .infinity { return (s - r * log(r), upper) }
    if c == 0 { return (nil, upper) }
    let q = (r / c).rounded(.down)
    let rest = max(0, r - q * c)
    return (s - q * c * log(c) - (rest > 0 ? rest * log(rest) : 0), upper)
  }
}

private func agrees(_ a: Double, _ b: Double?) -> Bool {
  guard let b else { return a.isNaN }
  return abs(a - b) <= 1e-9 * max(1, abs(b))
}

private func columns(_ rows: [Definition], asFloats: Bool) -> TokenColumns {
  let flat = rows.flatMap(\.logprobs)
  return TokenColumns(
    tokenIDs: rows.map(\.sampled), lossMask: [UInt8](repeating: 1, count: rows.count),
    logprobs: RealColumn(doubles: rows.map { $0.sampledLogprob ?? .nan }),
    topLogprobs: TopLogprobs(
      counts: rows.map { Int32($0.ids.count) }, tokenIDs: rows.flatMap(\.ids),
      logprobs: asFloats ? RealColumn(floats: flat.map(Float.init)) : RealColumn(doubles: flat)))
}

@Suite struct TokenEntropyTests {
  /// Whole columns agree with the definitions position by position, whatever the lists' lengths.
  @Test(arguments: [true, false], [nil, 40, 200_000])
  func columnsAgreeWithDefinitions(asFloats: Bool, vocabSize: Int?) {
    var random = SeededGenerator(seed: 7)
    let rows = (0..<3000).map { _ in
      let k = [0, 1, 2, 3, 4, 5, 7, 10, 11, 20, 21].randomElement(using: &random) ?? 0
      let scale = [0.01, 1.0, 8.0, 60.0].randomElement(using: &random) ?? 1.0
      let raw = (0..<(k + 6)).map { _ in -Double.random(in: 0..<1, using: &random) * scale }
      let top = raw.max() ?? 0
      let z = raw.reduce(0) { $0 + exp($1 - top) } * 1.0000001
      // Float32 values, so that both columns hold the same numbers.
      let lps = raw.map { Double(Float($0 - top - log(z))) }
      let ids = (0..<k).map { _ in Int32.random(in: 0..<30, using: &random) }
      let isKnown = Bool.random(using: &random)
      return Definition(
        ids: ids, logprobs: Array(lps[..<k]), sampled: .random(in: 0..<30, using: &random),
        sampledLogprob: isKnown ? lps[k] : nil, vocabSize: vocabSize)
    }
    let got = TokenEntropy(
      of: columns(rows, asFloats: asFloats), entropyKind: nil, vocabSize: vocabSize,
      estimators: Set(Estimator.allCases))
    for (i, row) in rows.enumerated() {
      let isListed = !row.ids.isEmpty
      #expect(agrees(got[.topk]?[i] ?? 0, isListed ? row.topk : nil))
      #expect(agrees(got[.topkRenormalized]?[i] ?? 0, isListed ? row.renormalized : nil))
      #expect(agrees(got[.lower]?[i] ?? 0, isListed ? row.bounds.0 : nil))
      #expect(agrees(got[.upper]?[i] ?? 0, isListed ? row.bounds.1 : nil))
      let candidate = row.ids.firstIndex(of: row.sampled).map { row.logprobs[$0] }
      #expect(agrees(got[.sampledNLL]?[i] ?? 0, (row.sampledLogprob ?? candidate).map { -$0 }))
    }
  }

  @Test func askedForOnly() {
    let some = TokenEntropy(
      of: TokenColumns(tokenIDs: [1], lossMask: [1]), entropyKind: nil, vocabSize: nil, estimators: [.topk])
    #expect(some[.topk]?.count == 1 && some[.topk]?[0].isNaN == true && some[.lower] == nil)
  }

  @Test func insertedTokensHaveNoValue() {
    let top = TopLogprobs(counts: [1, 1], tokenIDs: [5, 5], logprobs: RealColumn(floats: [-0.5, -0.5]))
    let got = TokenEntropy(
      of: TokenColumns(
        tokenIDs: [5, 5], lossMask: [0, 1], logprobs: RealColumn(floats: [-0.5, -0.5]), topLogprobs: top,
        entropies: RealColumn(floats: [0.25, 0.25])), entropyKind: "exact", vocabSize: 10,
      estimators: Set(Estimator.allCases))
    for estimator in Estimator.allCases {
      #expect(got[estimator]?[0].isNaN == true && got[estimator]?[1].isNaN == false, "\(estimator)")
    }
  }

  @Test func entropiesOfAnotherKindAreNotExact() {
    let columns = TokenColumns(tokenIDs: [5], lossMask: [1], entropies: RealColumn(floats: [0.25]))
    for kind in ["topk", nil] {
      let got = TokenEntropy(of: columns, entropyKind: kind, vocabSize: nil, estimators: [.exact])
      #expect(got[.exact]?[0].isNaN == true)
    }
  }

  /// Probabilities that underflow: renormalising shifts them first.
  @Test func renormalisedOfTinyProbabilities() {
    let row = Definition(ids: [1, 2], logprobs: [-800, -800], sampled: 1, sampledLogprob: nil, vocabSize: nil)
    let got = TokenEntropy(
      of: columns([row], asFloats: true), entropyKind: nil, vocabSize: nil, estimators: [.topk, .topkRenormalized])
    #expect(agrees(got[.topkRenormalized]?[0] ?? 0, log(2)))
    #expect(got[.topk]?[0] ?? 1 < 1e-290)
  }

  /// However far the temperature goes: near 0 all probability is on the most likely token, though every p^a is too small
  /// for a number.
  @Test(arguments: [1e-9, 1e-4, 1e-3, 0.01, 0.3, 2, 1e3]) func anyTemperature(to: Double) {
    let rows = [
      Definition(ids: [1, 2, 3], logprobs: [log(0.6), log(0.2), log(0.1)], sampled: 1, sampledLogprob: log(0.6)),
      Definition(ids: [1, 2], logprobs: [log(0.5), log(0.25)], sampled: 2, sampledLogprob: log(0.25)),
      Definition(ids: [1, 2], logprobs: [log(0.1), log(0.1)], sampled: 7, sampledLogprob: log(0.05)),
      Definition(ids: [1, 2], logprobs: [log(0.4), log(0.4)], sampled: 1, sampledLogprob: log(0.4)),
    ]
    let got = TokenEntropy(
      of: columns(rows, asFloats: false), entropyKind: nil, vocabSize: nil,
      estimators: [.topk, .topkRenormalized, .sampledNLL], temperature: TemperatureChange(from: 1, to: to))
    for (i, row) in rows.enumerated() {
      let a = 1 / to
      let rest = max(0, 1 - row.listed.reduce(0) { $0 + exp($1) })
      let terms = row.listed.map { a * $0 } + (rest > 0 ? [a * log(rest)] : [])
      let top = terms.max() ?? 0
      let logTotal = top + log(terms.reduce(0) { $0 + exp($1 - top) })
      // What underflows adds nothing.
      let scaled = row.listed.map { max(-1e300, a * $0 - logTotal) }
      var changed = row
      changed.logprobs = scaled
      changed.ids = scaled.indices.map(Int32.init)
      changed.sampledLogprob = nil
      #expect(agrees(got[.topk]?[i] ?? .nan, changed.topk), "row \(i)")
      #expect(agrees(got[.topkRenormalized]?[i] ?? .nan, changed.renormalized), "row \(i)")
      #expect(agrees(got[.sampledNLL]?[i] ?? .nan, logTotal - a * (row.sampledLogprob ?? .nan)), "row \(i)")
    }
  }

  /// Minus infinity is probability 0 and adds nothing; a candidate without a number is not listed.
  @Test func candidatesWithoutNumbers() {
    let infinite = Definition(
      ids: [1, 2, 3], logprobs: [log(0.5), log(0.25), -.infinity], sampled: 1, sampledLogprob: nil, vocabSize: 4)
    let missing = Definition(
      ids: [1, 2, 3], logprobs: [log(0.5), .nan, log(0.25)], sampled: 2, sampledLogprob: log(0.125), vocabSize: nil)
    let known = Definition(
      ids: [1, 3], logprobs: [log(0.5), log(0.25)], sampled: 2, sampledLogprob: log(0.125), vocabSize: nil)
    let got = TokenEntropy(
      of: columns([infinite, missing], asFloats: false), entropyKind: nil, vocabSize: nil,
      estimators: Set(Estimator.allCases))
    #expect(agrees(got[.topk]?[0] ?? 0, 0.5 * log(2) + 0.25 * log(4)))
    #expect(agrees(got[.topk]?[1] ?? 0, known.topk))
    #expect(agrees(got[.topkRenormalized]?[1] ?? 0, known.renormalized))
    #expect(agrees(got[.lower]?[1] ?? 0, known.bounds.0))
    let none = TokenEntropy(
      of: columns([Definition(ids: [1], logprobs: [.nan], sampled: 1, sampledLogprob: nil)], asFloats: false),
      entropyKind: nil, vocabSize: nil, estimators: [.topk, .sampledNLL])
    #expect(none[.topk]?[0].isNaN == true && none[.sampledNLL]?[0].isNaN == true)
  }

  /// More candidates than the kernel's buffer holds.
  @Test func fullVocabulary() {
    var random = SeededGenerator(seed: 3)
    let raw = (0..<5003).map { _ in Double.random(in: -9..<0, using: &random) }
    let z = raw.reduce(0) { $0 + exp($1) }
    let lps = raw.map { $0 - log(z) }
    let wide = Definition(
      ids: lps.indices.map(Int32.init), logprobs: lps, sampled: 77, sampledLogprob: nil, vocabSize: 5003)
    let short = Definition(ids: [1, 2], logprobs: [-1, -2], sampled: 1, sampledLogprob: nil, vocabSize: 5003)
    let got = TokenEntropy(
      of: columns([short, wide, short], asFloats: false), entropyKind: nil, vocabSize: 5003,
      estimators: [.topk, .lower, .upper, .sampledNLL])
    for (i, row) in [short, wide, short].enumerated() {
      #expect(agrees(got[.topk]?[i] ?? 0, row.topk))
      #expect(agrees(got[.lower]?[i] ?? 0, row.bounds.0) && agrees(got[.upper]?[i] ?? 0, row.bounds.1))
    }
    #expect(agrees(got[.sampledNLL]?[1] ?? 0, -lps[77]))
  }

  @Test func sameTemperatureIsTheIdentity() {
    let row = Definition(
      ids: [1, 2, 3], logprobs: [-0.7, -1.5, -3], sampled: 9, sampledLogprob: -4, vocabSize: 100)
    let columns = columns([row], asFloats: false)
    let names: Set<Estimator> = [.topk, .topkRenormalized, .sampledNLL]
    let plain = TokenEntropy(of: columns, entropyKind: nil, vocabSize: 100, estimators: names)
    let same = TokenEntropy(
      of: columns, entropyKind: nil, vocabSize: 100, estimators: names,
      temperature: TemperatureChange(from: 0.7, to: 0.7))
    for name in names { #expect(agrees(same[name]?[0] ?? 0, plain[name]?[0])) }
  }
}
