/// A multiset of doubles that gives exact medians and keeps only so many of them in memory.
struct SpillingValues {
  private var buffer: SpillingBuffer<Double>

  /// - Parameters:
  ///   - limit: values kept in memory before they are written out.
  ///   - spill: makes the storage; `nil`: everything stays in memory.
  init(limit: Int, spill: SpillFactory?) { buffer = SpillingBuffer(limit: limit, spill: spill) }

  var count: Int { buffer.count }

  mutating func append(_ values: [Double]) throws {
    try buffer.append { $0 += values }
  }

  /// Steps through all values in the order they came.
  func reader() -> Reader { Reader(values: self) }

  /// Values one by one.
  struct Reader {
    fileprivate let values: SpillingValues
    private var buffer: [Double] = []
    private var at = 0
    private var done = 0

    fileprivate init(values: SpillingValues) { self.values = values }

    /// The next value; `nil` at the end.
    mutating func next() throws -> Double? {
      if at == buffer.count {
        at = 0
        if done < values.buffer.stored, let storage = values.buffer.storage {
          buffer = [Double](repeating: 0, count: min(1 << 12, values.buffer.stored - done))
          try buffer.withUnsafeMutableBytes { try storage.fill($0, from: done * 8) }
        } else if done < values.count {
          buffer = values.buffer.memory
        } else {
          return nil
        }
        done += buffer.count
      }
      at += 1
      return buffer[at - 1]
    }
  }

  /// Calls the body with all values, a stretch at a time, in the order they came.
  func forEachChunk(_ body: (UnsafeBufferPointer<Double>) throws -> Void) throws {
    if let storage = buffer.storage {
      var chunk = [Double](repeating: 0, count: 1 << 15)
      var done = 0
      while done < buffer.stored {
        let wanted = Swift.min(chunk.count, buffer.stored - done)
        try chunk.withUnsafeMutableBytes { bytes in
          try storage.fill(UnsafeMutableRawBufferPointer(rebasing: bytes[..<(wanted * 8)]), from: done * 8)
        }
        try chunk.withUnsafeBufferPointer { try body(UnsafeBufferPointer(rebasing: $0[..<wanted])) }
        done += wanted
      }
    }
    try buffer.memory.withUnsafeBufferPointer { try body($0) }
  }

  /// Middle value, or the mean of the two middle ones; `nil` without values.
  func median() throws -> Double? { try median { $0 } }

  /// Median of |x - center|.
  func medianDeviation(from center: Double) throws -> Double? { try median { abs($0 - center) } }

  /// Blocks, median and MAD.
  func statistics() throws -> ControlStatistics {
    guard let median = try median() else { return ControlStatistics() }
    return ControlStatistics(blocks: count, median: median, mad: try medianDeviation(from: median))
  }

  /// The value with a given 0-based rank in ascending order.
  func value(rank: Int) throws -> Double { try select(rank) { $0 } }

  private func median(_ transform: (Double) -> Double) throws -> Double? {
    let n = count
    if n == 0 { return nil }
    let upper = n / 2
    if n % 2 == 1 { return try select(upper, transform) }
    return try 0.5 * (select(upper - 1, transform) + select(upper, transform))
  }

  /// The value with a given 0-based rank: the 64-bit keys that order like the values are narrowed down 16 bits a pass.
  private func select(_ rank: Int, _ transform: (Double) -> Double) throws -> Double {
    var left = rank
    var prefix: UInt64 = 0
    var counts = [Int](repeating: 0, count: 1 << 16)
    for shift in [48, 32, 16, 0] as [UInt64] {
      for i in counts.indices { counts[i] = 0 }
      try forEachChunk { values in
        counts.withUnsafeMutableBufferPointer { counts in
          for x in values {
            let key = sortKey(transform(x))
            // The first pass has no prefix yet: a shift by 64 gives 0.
            if key >> (shift + 16) == prefix { counts[Int(key >> shift & 0xFFFF)] += 1 }
          }
        }
      }
      var bucket = 0
      while left >= counts[bucket] {
        left -= counts[bucket]
        bucket += 1
      }
      prefix = prefix << 16 | UInt64(bucket)
    }
    return orderedValue(prefix)
  }
}

private func orderedValue(_ key: UInt64) -> Double {
  Double(bitPattern: key >> 63 == 1 ? key & ~(1 << 63) : ~key)
}

extension SpillStorage {
  /// Fills the whole buffer or throws.
  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int) throws {
    var done = 0
    while done < buffer.count {
      let n = try read(at: offset + done, into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
      if n == 0 { throw SpillError.truncated }
      done += n
    }
  }
}

/// A storage that did not give back what was written.
public enum SpillError: Error, Equatable, CustomStringConvertible {
  case truncated
  /// A system call failed with this `errno`.
  case system(call: String, code: Int32)

  /// The failure as a sentence.
  public var description: String {
    switch self {
    case .truncated: "a temporary file is shorter than what was written to it"
    case .system(let call, let code): "temporary file: \(call) failed (errno \(code))"
    }
  }
}
