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
  /// Sum of -p ln p.
  var s: [Double]
  /// Sum of p.
  var z: [Double]
  /// Smallest ln p (not scaled) among the candidates other than the sampled token; +inf if there is none.
  var lowest: [Double]
  /// Number of listed tokens; 0 where the position is not wanted, has no candidates, or none with a number.
  var listed: [Int32]

  /// - Parameters:
  ///   - top: candidates by position.
  ///   - sampled: sampled token by position.
  ///   - logprobs: logged logprob of the sampled token, `NaN` = not logged; empty = none logged.
  ///   - wanted: 0 where no sums are needed.
  init(
    of top: TopLogprobs, sampled: [Int32], logprobs: [Double], wanted: [UInt8], scale: Double
  ) {
    let count = top.counts.count
    s = [Double](repeating: 0, count: count)
    z = s
    lowest = s
    listed = top.counts
    var flags = [UInt8](repeating: 0, count: count)
    // A pointer to no ids is no pointer, which would ask for places.
    let known = top.tokenIDs.isEmpty ? sampled : top.tokenIDs
    known.withUnsafeBufferPointer { tokenIDs in
      let ids = top.places.isEmpty ? tokenIDs.baseAddress : nil
      s.withUnsafeMutableBufferPointer { s in
        z.withUnsafeMutableBufferPointer { z in
          lowest.withUnsafeMutableBufferPointer { lowest in
            flags.withUnsafeMutableBufferPointer { flags in
              let out = arpo_candidate_sums(
                s: s.baseAddress, z: z.baseAddress, lowest: lowest.baseAddress, flags: flags.baseAddress)
              if top.logprobs.precision == .float64 {
                arpo_candidate_sums_double(
                  top.logprobs.doubles, ids, top.counts, sampled, top.places, count, scale, out)
              } else {
                arpo_candidate_sums_float(
                  top.logprobs.floats, ids, top.counts, sampled, top.places, count, scale, out)
              }
            }
          }
        }
      }
    }
    addSampled(logprobs, flags: flags, wanted: wanted, scale: scale)
    if flags.contains(where: { $0 & UInt8(ARPO_CANDIDATE_MISSING) != 0 }) {
      recount(top, sampled: sampled, logprobs: logprobs, flags: flags, scale: scale)
    }
  }

  private mutating func addSampled(_ logprobs: [Double], flags: [UInt8], wanted: [UInt8], scale: Double) {
    let isListed = UInt8(ARPO_SAMPLED_LISTED)
    var outside: [Int] = []
    listed.withUnsafeMutableBufferPointer { listed in
      wanted.withUnsafeBufferPointer { wanted in
        flags.withUnsafeBufferPointer { flags in
          for i in listed.indices {
            if wanted[i] == 0 { listed[i] = 0 }
            if listed[i] > 0, flags[i] & isListed == 0 { outside.append(i) }
          }
        }
      }
    }
    if logprobs.isEmpty { return }
    for i in outside where !logprobs[i].isNaN { append(logprobs[i], at: i, scale: scale) }
  }

  private mutating func append(_ logprob: Double, at i: Int, scale: Double) {
    let p = exp(scale * logprob)
    if p > 0 { s[i] -= p * scale * logprob }
    z[i] += p
    listed[i] += 1
  }

  /// Positions at which a candidate has no number: that candidate is not listed, be it the sampled token or another.
  private mutating func recount(
    _ top: TopLogprobs, sampled: [Int32], logprobs: [Double], flags: [UInt8], scale: Double
  ) {
    var offset = 0
    for i in top.counts.indices {
      let candidates = offset..<(offset + Int(top.counts[i]))
      offset = candidates.upperBound
      guard listed[i] > 0, flags[i] & UInt8(ARPO_CANDIDATE_MISSING) != 0 else { continue }
      let known = candidates.filter { top.logprobs[$0] != nil }
      listed[i] = Int32(known.count)
      s[i] = 0
      z[i] = 0
      guard !known.isEmpty else { continue }
      for j in known {
        listed[i] -= 1
        append(top.logprobs[j] ?? 0, at: i, scale: scale)
      }
      let isListed = known.contains {
        top.isSampled($0, at: i, first: candidates.lowerBound, token: sampled[i])
      }
      if !isListed, !logprobs.isEmpty, !logprobs[i].isNaN { append(logprobs[i], at: i, scale: scale) }
    }
  }
}
