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
  /// A sum over positions, not a mean (vllm_rollout_with_tools.py, `_calc_entropy`). Positions without candidates add
  /// nothing.
  func sum(over segment: Range<Int>, window: Int) -> (sum: Double?, positions: Int) {
    var total = 0.0
    var positions = 0
    for h in values(over: segment, window: window) where !h.isNaN {
      total += h
      positions += 1
    }
    return (positions > 0 ? total : nil, positions)
  }

  /// The sum of -p ln p at each of the first `window` positions of a stored stretch, nats; `NaN` without candidates.
  ///
  /// Over the `topK` largest candidates and the sampled token, not renormalised.
  func values(over segment: Range<Int>, window: Int) -> [Double] {
    let positions = segment.prefix(window)
    guard top != nil else { return [Double](repeating: .nan, count: positions.count) }
    var logprobs: [Double] = []
    logprobs.reserveCapacity(positions.count * (topK + 1))
    var ends: [Int] = []
    ends.reserveCapacity(positions.count)
    for i in positions {
      appendListed(at: i - first, to: &logprobs)
      ends.append(logprobs.count)
    }
    var p = [Double](repeating: 0, count: logprobs.count)
    arpo_exp(logprobs, logprobs.count, &p)
    var out: [Double] = []
    out.reserveCapacity(ends.count)
    var start = 0
    for end in ends {
      var h = start == end ? Double.nan : 0
      for j in start..<end where p[j] > 0 { h -= p[j] * logprobs[j] }
      out.append(h)
      start = end
    }
    return out
  }

  /// The `topK` largest candidates (ties: list order), and the sampled token if it is outside them and its logprob is
  /// known: that of its candidate, else the logged one.
  private func appendListed(at i: Int, to out: inout [Double]) {
    guard let top else { return }
    let list = offsets[i]..<(offsets[i] + Int(top.counts[i]))
    let token = columns.tokenIDs[i]
    func isSampled(_ j: Int) -> Bool { top.isSampled(j, at: i, first: list.lowerBound, token: token) }
    // Servers list candidates in descending order; then the largest are the first.
    if isDescending(list) {
      let used = list.prefix(topK)
      for j in used { out.append(logprob(j)) }
      if used.contains(where: isSampled) || list.isEmpty { return }
    } else {
      let known = list.filter { !logprob($0).isNaN }
      if known.isEmpty { return }
      let used = known.sorted { logprob($0) == logprob($1) ? $0 < $1 : logprob($0) > logprob($1) }.prefix(topK)
      for j in used { out.append(logprob(j)) }
      if used.contains(where: isSampled) { return }
    }
    if let j = list.first(where: { isSampled($0) && !logprob($0).isNaN }) {
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
