import CKernels
import Rollouts

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the listed tokens of each position add up to: its candidates, and the sampled token if it is not among them and
/// its logprob is known.
///
/// A candidate without a number is not listed.
///
/// With a scale a, p stands for exp(a ln p): the weights of another temperature, not normalised.
struct CandidateSums {
  /// Sum of -p ln p; `NaN` where nothing is listed.
  var s: [Double]
  /// Sum of p.
  var z: [Double]
  /// Smallest ln p (not scaled) among the candidates other than the sampled token; +inf if there is none.
  ///
  /// Empty if it was not asked for.
  var lowest: [Double]
  /// Number of listed tokens; 0 where the position is not wanted, has no candidates, or none with a number.
  var listed: [Int32]

  /// - Parameters:
  ///   - top: candidates by position.
  ///   - sampled: sampled token by position.
  ///   - logprobs: logged logprob of the sampled token; `nil` = none logged.
  ///   - wanted: 0 where no sums are needed.
  ///   - withLowest: whether the smallest candidates are needed.
  init(
    of top: TopLogprobs, sampled: [Int32], logprobs: RealColumn?, wanted: [UInt8], scale: Double,
    withLowest: Bool = true
  ) {
    let count = top.counts.count
    var (z, lowest): ([Double], [Double]) = ([], [])
    var flags: [UInt8] = []
    // A pointer to no ids is no pointer, which would ask for places.
    let known = top.tokenIDs.isEmpty ? sampled : top.tokenIDs
    var s: [Double] = filled(count) { s in
      z = filled(count) { z in
        flags = filled(count) { flags in
          func add(lowest: UnsafeMutablePointer<Double>?) {
            let out = arpo_candidate_sums(s: s, z: z, lowest: lowest, flags: flags)
            known.withUnsafeBufferPointer { known in
              let ids = top.places.isEmpty ? known.baseAddress : nil
              if top.logprobs.precision == .float64 {
                arpo_candidate_sums_double(
                  top.logprobs.doubles, ids, top.counts, sampled, top.places, count, scale, out)
              } else {
                arpo_candidate_sums_float(
                  top.logprobs.floats, ids, top.counts, sampled, top.places, count, scale, out)
              }
            }
          }
          if withLowest { lowest = filled(count) { add(lowest: $0) } } else { add(lowest: nil) }
        }
      }
    }
    var listed: [Int32] = []
    let outside = [Int32](unsafeUninitializedCapacity: count) { outside, initialized in
      guard let base = outside.baseAddress else { return }
      listed = filled(count) { listed in
        s.withUnsafeMutableBufferPointer { s in
          initialized = arpo_candidates_listed(wanted, top.counts, flags, count, listed, s.baseAddress, base)
        }
      }
    }
    (self.s, self.z, self.lowest, self.listed) = (s, z, lowest, listed)
    if let logprobs {
      for i in outside.lazy.map(Int.init) {
        if let logprob = logprobs[i] { append(logprob, at: i, scale: scale) }
      }
    }
    if flags.contains(where: { $0 & UInt8(ARPO_CANDIDATE_MISSING) != 0 }) {
      recount(top, sampled: sampled, logprobs: logprobs, flags: flags, scale: scale)
    }
  }

  private mutating func append(_ logprob: Double, at i: Int, scale: Double) {
    let p = exp(scale * logprob)
    if p > 0 { s[i] -= p * scale * logprob }
    z[i] += p
    listed[i] += 1
  }

  /// Positions at which a candidate has no number: that candidate is not listed, be it the sampled token or another.
  private mutating func recount(
    _ top: TopLogprobs, sampled: [Int32], logprobs: RealColumn?, flags: [UInt8], scale: Double
  ) {
    var offset = 0
    for i in top.counts.indices {
      let candidates = offset..<(offset + Int(top.counts[i]))
      offset = candidates.upperBound
      guard listed[i] > 0, flags[i] & UInt8(ARPO_CANDIDATE_MISSING) != 0 else { continue }
      let known = candidates.filter { top.logprobs[$0] != nil }
      listed[i] = Int32(known.count)
      s[i] = known.isEmpty ? .nan : 0
      z[i] = 0
      guard !known.isEmpty else { continue }
      for j in known {
        listed[i] -= 1
        append(top.logprobs[j] ?? 0, at: i, scale: scale)
      }
      let isListed = known.contains {
        top.isSampled($0, at: i, first: candidates.lowerBound, token: sampled[i])
      }
      if !isListed, let logprob = logprobs?[i] { append(logprob, at: i, scale: scale) }
    }
  }
}

/// An array that a body fills in whole.
func filled<Element: BitwiseCopyable>(
  _ count: Int, _ fill: (UnsafeMutablePointer<Element>) -> Void
) -> [Element] {
  [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
    if let base = buffer.baseAddress { fill(base) }
    initialized = count
  }
}
