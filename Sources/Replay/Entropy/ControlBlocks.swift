/// Generated tokens after a tool result that no control block contains.
let postToolTokens = 50

extension PathValues {
  /// Means of a trajectory's non-post-tool blocks of a given length.
  ///
  /// Region: owned tokens of a generation segment; in one that follows a tool result only those at offset 50 and later.
  /// Each region is cut from its start into consecutive blocks of exactly `length` tokens, the incomplete last one
  /// dropped. A block counts if at least half of its tokens have a value; its mean goes over those.
  func controlBlocks(_ t: Int, length: Int) -> [Double] {
    let path = paths[t]
    // Owned tokens are stored by the trajectory itself.
    let values = own[t]
    if values.isEmpty || length <= 0 { return [] }
    let offset = path.storageBranch
    let afterResult = Set(path.results.indices.compactMap { path.window(after: $0)?.lowerBound })
    var out: [Double] = []
    values.withUnsafeBufferPointer { values in
      for segment in path.generation {
        let isAfter = afterResult.contains(segment.lowerBound)
        var start = max(isAfter ? segment.lowerBound + postToolTokens : segment.lowerBound, path.branch)
        while start + length <= segment.upperBound {
          var sum = 0.0
          var count = 0
          for i in (start - offset)..<(start - offset + length) where !values[i].isNaN {
            sum += values[i]
            count += 1
          }
          if 2 * count >= length { out.append(sum / Double(count)) }
          start += length
        }
      }
    }
    return out
  }
}

/// Median and spread of the control blocks of one length.
struct ControlStatistics: Sendable, Equatable {
  var blocks = 0
  var median: Double?
  /// Median of |x - median|.
  var mad: Double?

  /// How far a window's mean lies above the blocks, in robust standard deviations; `nil` with fewer than five blocks or
  /// without any spread.
  func z(_ mean: Double?) -> Double? {
    guard let mean, let median, let mad, blocks >= 5, mad > 1e-12 else { return nil }
    return (mean - median) / (1.4826 * mad)
  }
}

/// A window's mean counts as a spike above this z.
let spikeThreshold = 3.0
