import CKernels
import Foundation
import Testing
import TestSupport

@Suite struct EntropyKernelTests {
  private func kernelExp(_ x: [Double]) -> [Double] {
    var out = [Double](repeating: 0, count: x.count)
    arpo_exp(x, x.count, &out)
    return out
  }

  private func kernelLog(_ x: [Double]) -> [Double] {
    var out = [Double](repeating: 0, count: x.count)
    arpo_log(x, x.count, &out)
    return out
  }

  @Test(arguments: [1e-12, 1e-3, 1, 40, 700])
  func expOfRandomNumbers(scale: Double) {
    var random = SeededGenerator(seed: 11)
    let x = (0..<100_003).map { _ in Double.random(in: -1...1, using: &random) * scale }
    for (x, y) in zip(x, kernelExp(x)) {
      let expected = exp(x)
      if abs(y - expected) > 4e-16 * expected {
        Issue.record("exp(\(x)) = \(y), expected \(expected)")
        return
      }
    }
  }

  @Test func expAtTheEdges() {
    let got = kernelExp([0, -0.0, -.infinity, .nan, -1e300, -745.2, -708, 1, -1, 709])
    #expect(got[0] == 1 && got[1] == 1)
    #expect(got[2...6].allSatisfy { $0 == 0 })
    #expect(abs(got[7] - M_E) < 1e-15 && abs(got[8] - 1 / M_E) < 1e-15)
    #expect(abs(got[9] / exp(709) - 1) < 4e-16)
    // Every length, so that every remainder of a vector is met.
    for n in 0..<40 { #expect(kernelExp([Double](repeating: -1, count: n)).allSatisfy { $0 == got[8] }) }
  }

  @Test(arguments: [1e-300, 1e-16, 0.5, 1, 3, 1e300])
  func logOfRandomNumbers(scale: Double) {
    var random = SeededGenerator(seed: 12)
    let x = (0..<100_003).map { _ in Double.random(in: 0.2...1, using: &random) * scale } + [1, 2, 0.5]
    for (x, y) in zip(x, kernelLog(x)) {
      let expected = log(x)
      if abs(y - expected) > 5e-16 * abs(expected) {
        Issue.record("log(\(x)) = \(y), expected \(expected)")
        return
      }
    }
    #expect(kernelLog([1]) == [0])
  }

  private struct Sums: Equatable {
    var s: [UInt64] = []
    var z: [UInt64] = []
    var lowest: [Double] = []
    var flags: [UInt8] = []
  }

  private func sums(
    _ logprobs: [Float], ids: [Int32]?, _ counts: [Int32], _ sampled: [Int32], _ places: [UInt8], withLowest: Bool
  ) -> Sums {
    let n = counts.count
    var (s, z) = ([Double](repeating: -1, count: n), [Double](repeating: -1, count: n))
    var lowest = [Double](repeating: .infinity, count: n)
    var flags = [UInt8](repeating: 99, count: n)
    s.withUnsafeMutableBufferPointer { s in
      z.withUnsafeMutableBufferPointer { z in
        lowest.withUnsafeMutableBufferPointer { lowest in
          flags.withUnsafeMutableBufferPointer { flags in
            let out = arpo_candidate_sums(
              s: s.baseAddress, z: z.baseAddress, lowest: withLowest ? lowest.baseAddress : nil,
              flags: flags.baseAddress)
            if let ids {
              arpo_candidate_sums_float(logprobs, ids, counts, sampled, places, n, 1, out)
            } else {
              arpo_candidate_sums_float(logprobs, nil, counts, sampled, places, n, 1, out)
            }
          }
        }
      }
    }
    return Sums(s: s.map(\.bitPattern), z: z.map(\.bitPattern), lowest: lowest, flags: flags)
  }

  /// Ids or places, with the smallest candidate or without: the sums are the same bits, and so is what is said of them.
  @Test func sumsAreTheSameBits() {
    var random = SeededGenerator(seed: 13)
    for _ in 0..<60 {
      var (logprobs, ids, counts, sampled, places) = ([Float](), [Int32](), [Int32](), [Int32](), [UInt8]())
      for _ in 0..<Int.random(in: 1...40, using: &random) {
        let longest = Int.random(in: 0...9, using: &random) == 0 ? 700 : 24
        let count = Int.random(in: 0...longest, using: &random)
        let place = Int.random(in: -1...min(254, max(count - 1, -1)), using: &random)
        for i in 0..<count {
          let isMissing = Int.random(in: 0..<200, using: &random) == 0
          logprobs.append(isMissing ? .nan : -Float.random(in: 0...12, using: &random))
          ids.append(Int32(i * 3))
        }
        counts.append(Int32(count))
        sampled.append(place < 0 ? 1 : Int32(place * 3))
        places.append(place < 0 ? 255 : UInt8(place))
      }
      let full = sums(logprobs, ids: ids, counts, sampled, places, withLowest: true)
      #expect(sums(logprobs, ids: nil, counts, sampled, places, withLowest: true) == full)
      for ids in [ids, nil] {
        var plain = sums(logprobs, ids: ids, counts, sampled, places, withLowest: false)
        #expect(plain.lowest.allSatisfy { $0 == .infinity })
        plain.lowest = full.lowest
        #expect(plain == full)
      }
      var at = 0
      for (i, count) in counts.enumerated() {
        let own = logprobs[at..<(at + Int(count))]
        at += Int(count)
        let z = own.reduce(0) { $1.isNaN ? $0 : $0 + exp(Double($1)) }
        #expect(abs(Double(bitPattern: full.z[i]) - z) < 1e-12)
        let isListed = full.flags[i] & UInt8(ARPO_SAMPLED_LISTED) != 0
        #expect(isListed == (places[i] != 255))
        #expect((full.flags[i] & UInt8(ARPO_CANDIDATE_MISSING) != 0) == own.contains { $0.isNaN })
      }
    }
  }
}
