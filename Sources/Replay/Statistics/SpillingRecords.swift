/// An append-only list of byte records that keeps only so many bytes in memory.
struct SpillingRecords {
  private var buffer: SpillingBuffer<UInt8>

  /// - Parameters:
  ///   - limit: bytes kept in memory before they are written out.
  ///   - spill: makes the storage; `nil`: everything stays in memory.
  init(limit: Int, spill: SpillFactory?) { buffer = SpillingBuffer(limit: limit, spill: spill) }

  mutating func append(_ record: [UInt8]) throws {
    try buffer.append { memory in
      withUnsafeBytes(of: UInt64(record.count)) { memory += $0 }
      memory += record
    }
  }

  /// Calls the body with each record, in the order they came.
  func forEach(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    if let storage = buffer.storage {
      let stored = buffer.stored
      // Whole stretches are read, and of each the records that end in it.
      var stretch = [UInt8](repeating: 0, count: min(stored, Self.stretch))
      var at = 0
      while at < stored {
        let count = min(stretch.count, stored - at)
        let used = try stretch.withUnsafeMutableBytes { bytes in
          let part = UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
          try storage.fill(part, from: at)
          return try Self.forEach(in: UnsafeRawBufferPointer(part), body)
        }
        at += used
        if used == 0 { stretch = [UInt8](repeating: 0, count: 2 * stretch.count) }
      }
    }
    _ = try buffer.memory.withUnsafeBytes { try Self.forEach(in: $0, body) }
  }

  private static let stretch = 1 << 18

  /// Calls the body with each record that is there as a whole, and returns the bytes that they take.
  private static func forEach(
    in bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) rethrows -> Int {
    var at = 0
    while at + 8 <= bytes.count {
      let end = at + 8 + Int(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      if end > bytes.count { break }
      try body(UnsafeRawBufferPointer(rebasing: bytes[(at + 8)..<end]))
      at = end
    }
    return at
  }
}

/// Writes numbers and strings one after the other.
struct RecordWriter {
  private(set) var bytes: [UInt8] = []

  mutating func write(_ x: Int) { withUnsafeBytes(of: x) { bytes += $0 } }

  mutating func write(_ x: Double) { withUnsafeBytes(of: x) { bytes += $0 } }

  mutating func write(_ x: Double?) { write(x ?? .nan) }

  mutating func write(_ x: Bool) { bytes.append(x ? 1 : 0) }

  mutating func write(_ x: Int?) { write(x ?? Int.min) }

  mutating func write(_ s: String?) {
    write(s.map { $0.utf8.count } ?? -1)
    if let s { bytes += s.utf8 }
  }
}

/// Reads what a ``RecordWriter`` wrote, in the same order.
struct RecordReader {
  private let bytes: UnsafeRawBufferPointer
  private var at = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func int() -> Int {
    defer { at += 8 }
    return bytes.loadUnaligned(fromByteOffset: at, as: Int.self)
  }

  mutating func double() -> Double {
    defer { at += 8 }
    return bytes.loadUnaligned(fromByteOffset: at, as: Double.self)
  }

  mutating func optionalDouble() -> Double? {
    let x = double()
    return x.isNaN ? nil : x
  }

  mutating func bool() -> Bool {
    defer { at += 1 }
    return bytes[at] != 0
  }

  mutating func optionalInt() -> Int? {
    let x = int()
    return x == Int.min ? nil : x
  }

  mutating func optionalString() -> String? {
    let count = int()
    if count < 0 { return nil }
    defer { at += count }
    return String(decoding: bytes[at..<(at + count)], as: UTF8.self)
  }

  mutating func string() -> String { optionalString() ?? "" }
}
