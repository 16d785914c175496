import CKernels
import Rollouts

/// ARPO's entropy value of one owned generation segment.
public struct ARPOSegment: Sendable, Equatable {
  /// Path indices, the owned part of the segment.
  public var range: Range<Int>
  /// Positions that had candidates, of the first `windowTokens` of the segment.
  public var positions: Int
  /// Sum over these positions of the truncated entropy, nats; `nil` if no position had candidates.
  public var sum: Double?
  /// H: the sum divided by ln V; `nil` also if the vocabulary is unknown.
  public var value: Double?
}

/// ARPO's code branches iff clip(u - w dH, 0, 1) <= bp with u uniform on [0, 1).
///
/// Returns the probability of that: clip(bp + w dH, 0, 1) for 0 <= bp < 1; 1 for bp >= 1; 0 for bp < 0.
public func arpoBranchProbability(deltaH: Double, branchProbability bp: Double, entropyWeight w: Double) -> Double {
  if bp >= 1 { return 1 }
  if bp < 0 { return 0 }
  return min(1, max(0, bp + w * deltaH))
}

/// AEPO's code branches iff clip((u + w dH) pf, 0, 1) >= bp, pf = max(0, 1 - 0.05 l), with l branchings of the prompt in
/// a row before.
///
/// Returns the probability of that: clip(1 - bp / pf + w dH, 0, 1) for 0 < bp <= 1; 1 for bp <= 0; 0 for bp > 1 or pf = 0.
public func aepoBranchProbability(
  deltaH: Double, branchProbability bp: Double, entropyWeight w: Double, consecutive l: Int
) -> Double {
  let factor = max(0, 1 - 0.05 * Double(l))
  if bp <= 0 { return 1 }
  if bp > 1 || factor == 0 { return 0 }
  return min(1, max(0, 1 - bp / factor + w * deltaH))
}

/// A trajectory's candidates as ARPO's worker saw them.
struct ARPOCandidates {
  private let columns: TokenColumns
  private let top: TopLogprobs?
  /// Path index of the first stored token.
  private let first: Int
  /// Where the candidates of each stored token begin.
  private let offsets: [Int]
  private let topK: Int
  /// The candidates' logprobs; one of the two is empty.
  private let floats: [Float]
  private let doubles: [Double]

  init(_ trajectory: ReplayTrajectory, path: RolloutPath, topK: Int) {
    columns = trajectory.columns ?? TokenColumns()
    top = columns.topLogprobs
    floats = top?.logprobs.floats ?? []
    doubles = top?.logprobs.doubles ?? []
    first = path.storageBranch
    self.topK = topK
    var offsets: [Int] = []
    if let top {
      offsets.reserveCapacity(top.counts.count)
      var offset = 0
      for count in top.counts {
        offsets.append(offset)
        offset += Int(count)
      }
    }
    self.offsets = offsets
  }

  /// Sum over the first `window` positions of a stored stretch of the sum of -p ln p, and the positions used.
  ///
  /// A sum over positions, not a mean, over the `topK` largest candidates and the sampled token, not renormalised
  /// (vllm_rollout_with_tools.py, `_calc_entropy`). Positions without candidates add nothing.
  func sum(over segment: Range<Int>, window: Int) -> (sum: Double?, positions: Int) {
    guard top != nil else { return (nil, 0) }
    var logprobs: [Double] = []
    logprobs.reserveCapacity(window * (topK + 1))
    var positions = 0
    for i in segment.prefix(window) {
      let before = logprobs.count
      appendListed(at: i - first, to: &logprobs)
      if logprobs.count > before { positions += 1 }
    }
    if positions == 0 { return (nil, 0) }
    var p = [Double](repeating: 0, count: logprobs.count)
    arpo_exp(logprobs, logprobs.count, &p)
    var total = 0.0
    for (l, p) in zip(logprobs, p) where p > 0 { total -= p * l }
    return (total, positions)
  }

  /// The `topK` largest candidates (ties: list order), and the sampled token if it is outside them and its logprob is
  /// known: that of its candidate, else the logged one.
  private func appendListed(at i: Int, to out: inout [Double]) {
    guard let top else { return }
    let list = offsets[i]..<(offsets[i] + Int(top.counts[i]))
    let sampled = columns.tokenIDs[i]
    // Servers list candidates in descending order; then the largest are the first.
    if isDescending(list) {
      let used = list.prefix(topK)
      for j in used { out.append(logprob(j)) }
      if used.contains(where: { top.tokenIDs[$0] == sampled }) || list.isEmpty { return }
    } else {
      let known = list.filter { !logprob($0).isNaN }
      if known.isEmpty { return }
      let used = known.sorted { logprob($0) == logprob($1) ? $0 < $1 : logprob($0) > logprob($1) }.prefix(topK)
      for j in used { out.append(logprob(j)) }
      if used.contains(where: { top.tokenIDs[$0] == sampled }) { return }
    }
    if let j = list.first(where: { top.tokenIDs[$0] == sampled && !logprob($0).isNaN }) {
      out.append(logprob(j))
    } else if let l = columns.logprobs?[i] {
      out.append(l)
    }
  }

  private func logprob(_ j: Int) -> Double {
    floats.isEmpty ? doubles[j] : Double(floats[j])
  }

  private func isDescending(_ list: Range<Int>) -> Bool {
    var last = Double.infinity
    for j in list {
      let l = logprob(j)
      if !(l <= last) { return false }
      last = l
    }
    return true
  }
}

/// Sum over j of H_now[j] - H_initial[j], over the positions where both have a value (ARPO's paper, equation 4, before
/// the division).
///
/// - Parameters:
///   - now: entropies after a tool result, nats, `NaN` = none.
///   - initial: entropies from the start of the trajectory.
/// - Returns: the sum (`nil` without a pair) and the number of pairs.
public func paperDelta(now: [Double], initial: [Double]) -> (sum: Double?, pairs: Int) {
  var sum = 0.0
  var pairs = 0
  for (a, b) in zip(now, initial) where !a.isNaN && !b.isNaN {
    sum += a - b
    pairs += 1
  }
  return (pairs > 0 ? sum : nil, pairs)
}
