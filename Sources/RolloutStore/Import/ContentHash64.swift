import CKernels
import Rollouts

/// A 64-bit hash of what a record says, for telling equal content (not for adversaries).
struct ContentHash64 {
  private(set) var value: UInt64 = 0

  var stored: Int64 { Int64(bitPattern: value) }

  mutating func add(_ bytes: UnsafeRawBufferPointer) { value = arpo_hash(bytes.baseAddress, bytes.count, value) }

  mutating func add(_ text: String?) {
    guard var text else { return add(0x9E) }
    text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    add(text.utf8.count)
  }

  mutating func add(_ number: Int?) { add(UInt64(bitPattern: Int64(number ?? Int.min + 1))) }

  mutating func add(_ number: Double?) { add((number ?? -.signalingNaN).bitPattern) }

  mutating func add(_ word: UInt64) { withUnsafeBytes(of: word) { add($0) } }

  mutating func add(_ column: RealColumn, _ range: Range<Int>) {
    if column.precision == .float64 {
      column.doubles[range].withUnsafeBytes { add($0) }
    } else {
      column.floats[range].withUnsafeBytes { add($0) }
    }
  }

  mutating func add(_ segment: Segment) {
    add(segment.kind.rawValue)
    add(segment.start)
    add(segment.end)
    add(segment.tool)
    add(segment.toolCallID)
    add(segment.status)
    add(segment.latency)
    add(segment.arguments)
    add(segment.text)
    add(segment.extra)
  }

  /// Hash of several texts.
  static func of(_ parts: String?...) -> UInt64 {
    var hash = ContentHash64()
    for part in parts { hash.add(part) }
    return hash.value
  }
}
