internal import CPolicyKernels

/// Which keys each query sees, as kernels read it.
struct AttentionPlan {
  private(set) var segments: [policy_segment] = []
  private(set) var ranges: [policy_range] = []
  let rows: Int
  /// Rows that the keys have room for.
  let capacity: Int

  init(_ forest: TokenForest) {
    rows = forest.count
    capacity = forest.count
    for (i, segment) in forest.segments.enumerated() {
      append(
        query: segment.nodes.lowerBound, count: segment.nodes.count, own: segment.nodes.lowerBound,
        ranges: forest.ancestors(of: i))
    }
  }

  init(rows: Int, capacity: Int) {
    self.rows = rows
    self.capacity = capacity
  }

  /// Queries that see `ranges` of the keys, and of the keys from `own` on each those up to its own.
  mutating func append(query: Int, count: Int, own: Int, ranges seen: [Range<Int>]) {
    segments.append(
      policy_segment(
        query: Int32(query), count: Int32(count), own: Int32(own), range: Int32(ranges.count),
        ranges: Int32(seen.count)))
    ranges += seen.map { policy_range(begin: Int32($0.lowerBound), end: Int32($0.upperBound)) }
  }

  func with<Result>(
    _ heads: policy_heads, q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>,
    _ body: (policy_attention) -> Result
  ) -> Result {
    segments.withUnsafeBufferPointer { segments in
      ranges.withUnsafeBufferPointer { ranges in
        body(
          policy_attention(
            shape: heads, segments: segments.baseAddress, segment_count: Int64(segments.count),
            ranges: ranges.baseAddress, rows: Int64(rows), capacity: Int64(capacity), q: q, k: k, v: v))
      }
    }
  }
}
