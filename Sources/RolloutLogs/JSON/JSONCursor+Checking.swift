/// Values that are stored as they stand in the log.
extension JSONCursor {
  /// Takes any value, checked to be JSON all through, and returns the range of its bytes.
  /// - Parameter notFinite: counts `NaN` and the infinities, which Python writes and JSON does not have.
  mutating func checkedValue(notFinite: inout Int, depth: Int = 0) throws(RecordError) -> Range<Int> {
    let next = peek()
    let start = at
    switch next {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard depth < Self.maxDepth else { throw fail("nested deeper than \(Self.maxDepth)", .tooDeep) }
      move(to: at &+ 1)
      var first = true
      if next == UInt8(ascii: "{") {
        while let key = try nextKey(first: &first) {
          try check(key)
          _ = try checkedValue(notFinite: &notFinite, depth: depth + 1)
        }
      } else {
        while try nextElement(first: &first) { _ = try checkedValue(notFinite: &notFinite, depth: depth + 1) }
      }
    case UInt8(ascii: "\""): try check(stringBytes())
    default:
      let second = next == UInt8(ascii: "-") ? base[at &+ 1] : next
      if second == UInt8(ascii: "N") || second == UInt8(ascii: "I") { notFinite += 1 }
      _ = try value()
    }
    return start..<at
  }

  /// Fails if a string has an escape that JSON does not have.
  func check(_ string: StringBytes) throws(RecordError) {
    if string.hasEscapes { _ = try decoded(string) }
  }
}
