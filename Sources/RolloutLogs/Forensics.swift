import Rollouts

/// Checks that a column of logprobs goes through on its way in.
///
/// They change nothing; a user should know what they find.
enum Forensics {
  /// Consecutive logprobs of exactly 0.0 that are worth telling: p = 1 to float32 precision does happen, but rarely
  /// often in a row, while a placeholder for "missing" comes in runs (huggingface/OpenEnv PR #1036).
  static let zeroRun = 8
  /// vLLM and OpenAI clamp minus infinity to this.
  static let sentinel: Float = -9999

  static func findings(_ columns: TokenColumns, firstIndex: Int) -> [Finding] {
    var out: [Finding] = []
    if let logprobs = columns.logprobs, logprobs.precision != .float64 {
      out += runs(logprobs.floats, columns.lossMask, firstIndex)
    } else if let logprobs = columns.logprobs {
      out += runs(logprobs.doubles.map { Float($0) }, columns.lossMask, firstIndex)
    }
    if let top = columns.topLogprobs { out += unlisted(columns, top, firstIndex) }
    return out
  }

  private static func runs(_ logprobs: [Float], _ mask: [UInt8], _ firstIndex: Int) -> [Finding] {
    var zeros = 0
    var zeroRuns = 0
    var firstZero: Int?
    var sentinels = 0
    var firstSentinel: Int?
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
      let x = logprobs[i]
      if x == 0, mask[i] == 1 { run += 1 } else if run > 0 { close(i) }
      if x <= sentinel {
        sentinels += 1
        firstSentinel = firstSentinel ?? (firstIndex + i)
      }
    }
    close(logprobs.count)
    var out: [Finding] = []
    if zeroRuns > 0 {
      out.append(Finding(.zeroRun, count: zeros, firstIndex: firstZero, note: "\(zeroRuns) runs of \(zeroRun) or more"))
    }
    if sentinels > 0 { out.append(Finding(.sentinel, count: sentinels, firstIndex: firstSentinel)) }
    return out
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
