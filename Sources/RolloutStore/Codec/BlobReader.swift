import Rollouts

/// Reads a blob front to back, checking its end.
struct BlobReader {
  private let bytes: UnsafeRawBufferPointer
  private var at = 1

  init(_ bytes: UnsafeRawBufferPointer, _ coding: ColumnCoding) throws(ColumnError) {
    guard let first = bytes.first, first == coding.rawValue else {
      throw ColumnError("a column blob of another kind than \(coding)")
    }
    self.bytes = bytes
  }

  mutating func byte() throws(ColumnError) -> UInt8 {
    guard at < bytes.count else { throw ColumnError("a column blob is cut off") }
    at += 1
    return bytes[at - 1]
  }

  @inline(__always) mutating func count(_ limit: Int) throws(ColumnError) -> Int {
    // Most numbers are small.
    if at < bytes.count, bytes[at] < 0x80, Int(bytes[at]) <= limit {
      at += 1
      return Int(bytes[at - 1])
    }
    return try longCount(limit)
  }

  private mutating func longCount(_ limit: Int) throws(ColumnError) -> Int {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let b = try byte()
      value |= UInt64(b & 0x7F) << shift
      if b < 0x80 { break }
      shift += 7
      guard shift < 63 else { throw ColumnError("a number in a column blob is too long") }
    }
    guard value <= UInt64(max(0, limit)) else {
      throw ColumnError("\(value) in a column blob where at most \(limit) fits")
    }
    return Int(value)
  }

  mutating func precision() throws(ColumnError) -> RealColumn.Precision {
    guard let precision = RealColumn.Precision(rawValue: try byte()) else { throw ColumnError("unknown precision") }
    return precision
  }

  mutating func bytes(_ n: Int) throws(ColumnError) -> UnsafePointer<UInt8> {
    guard n <= bytes.count - at, let base = bytes.baseAddress else { throw ColumnError("a column blob is cut off") }
    defer { at += n }
    return base.advanced(by: at).assumingMemoryBound(to: UInt8.self)
  }

  func finish() throws(ColumnError) {
    guard at == bytes.count else { throw ColumnError("\(bytes.count - at) bytes too many in a column blob") }
  }
}
