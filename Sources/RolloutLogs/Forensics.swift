import Rollouts

/// Checks that a column of logprobs goes through on its way in.
///
/// A user should know what they find.
enum Forensics {
  /// Consecutive logprobs of exactly 0.0 that are worth telling: p = 1 to float32 precision does happen, but rarely
  /// often in a row, while a placeholder for "missing" comes in runs (huggingface/OpenEnv PR #1036).
  static let zeroRun = 8
  /// Servers clamp minus infinity to this.
  static let sentinel = -9999.0

  /// What the columns show; of logprobs and candidates that say no more than "impossible" nothing stays.
  static func findings(_ columns: inout TokenColumns, firstIndex: Int) -> [Finding] {
    var out = zeroRuns(columns, firstIndex: firstIndex)
    if let top = columns.topLogprobs { out += unlisted(columns, top, firstIndex) }
    out += negativeEntropies(columns, firstIndex: firstIndex)
    let (count, first) = takeSentinels(from: &columns)
    if let first { out.append(Finding(.sentinel, count: count, firstIndex: firstIndex + first)) }
    return out
  }

  static func zeroRuns(_ columns: TokenColumns, firstIndex: Int) -> [Finding] {
    guard let logprobs = columns.logprobs else { return [] }
    return logprobs.precision == .float64
      ? zeroRuns(logprobs.doubles, columns.lossMask, firstIndex)
      : zeroRuns(logprobs.floats, columns.lossMask, firstIndex)
  }

  private static func zeroRuns<T: BinaryFloatingPoint>(_ logprobs: [T], _ mask: [UInt8], _ firstIndex: Int) -> [Finding]
  {
    var zeros = 0
    var zeroRuns = 0
    var firstZero: Int?
    var run = 0
    func close(_ end: Int) {
      if run >= zeroRun {
        zeros += run
        zeroRuns += 1
        firstZero = firstZero ?? (firstIndex + end - run)
      }
      run = 0
    }
    for i in logprobs.indices {
      if logprobs[i] == 0, mask[i] == 1 { run += 1 } else if run > 0 { close(i) }
    }
    close(logprobs.count)
    if zeroRuns == 0 { return [] }
    return [Finding(.zeroRun, count: zeros, firstIndex: firstZero, note: "\(zeroRuns) runs of \(zeroRun) or more")]
  }

  private static func unlisted(_ columns: TokenColumns, _ top: TopLogprobs, _ firstIndex: Int) -> [Finding] {
    var offset = 0
    var missing = 0
    var first: Int?
    columns.tokenIDs.withUnsafeBufferPointer { ids in
      top.tokenIDs.withUnsafeBufferPointer { candidates in
        for i in top.counts.indices {
          let n = Int(top.counts[i])
          if n > 0, columns.lossMask[i] == 1 {
            var k = offset
            while k < offset + n, candidates[k] != ids[i] { k += 1 }
            if k == offset + n {
              missing += 1
              first = first ?? (firstIndex + i)
            }
          }
          offset += n
        }
      }
    }
    return missing == 0 ? [] : [Finding(.sampledNotListed, count: missing, firstIndex: first)]
  }
}
