import Rollouts

/// Numbers that say that a token was impossible, and nothing about how likely it was.
extension Forensics {
  /// Makes sampled logprobs that are sentinels missing, and drops candidates that have one.
  ///
  /// Returns how many there were, and the index of the first token that had one.
  static func takeSentinels(from columns: inout TokenColumns) -> (count: Int, first: Int?) {
    var count = 0
    var first: Int?
    if let logprobs = columns.logprobs, hasSentinel(logprobs) {
      var values: [Double?] = (0..<logprobs.count).map { logprobs[$0] }
      for i in values.indices where isSentinel(values[i]) {
        count += 1
        first = first ?? i
        values[i] = nil
      }
      columns.logprobs = column(values, like: logprobs)
    }
    guard let top = columns.topLogprobs, hasSentinel(top.logprobs) else { return (count, first) }
    var kept = TopLogprobs()
    var values: [Double?] = []
    var flat = 0
    for (i, n) in top.counts.enumerated() {
      let before = values.count
      for k in flat..<(flat + Int(n)) {
        if isSentinel(top.logprobs[k]) {
          count += 1
          first = min(first ?? i, i)
        } else {
          kept.tokenIDs.append(top.tokenIDs[k])
          values.append(top.logprobs[k])
        }
      }
      kept.counts.append(Int32(values.count - before))
      flat += Int(n)
    }
    kept.logprobs = column(values, like: top.logprobs)
    columns.topLogprobs = kept
    return (count, first)
  }

  private static func isSentinel(_ value: Double?) -> Bool { value.map { $0 <= sentinel } ?? false }

  /// Values as a column of another one's precision.
  private static func column(_ values: [Double?], like other: RealColumn) -> RealColumn {
    other.precision == .float64
      ? RealColumn(doubles: values.map { $0 ?? .nan })
      : RealColumn(floats: values.map { $0.map { Float($0) } ?? .nan }, precision: other.precision)
  }

  /// Whether a column has one, which is rare and found out quickly: the bits of numbers far below zero are the largest.
  private static func hasSentinel(_ column: RealColumn) -> Bool {
    if column.precision == .float64 { return column.doubles.contains { $0 <= sentinel } }
    let largest = column.floats.withUnsafeBufferPointer { values in
      var largest: UInt32 = 0
      for value in values { largest = max(largest, value.bitPattern) }
      return largest
    }
    return largest >= Float(sentinel).bitPattern
  }
}
