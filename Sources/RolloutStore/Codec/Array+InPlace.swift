extension Array where Element: BitwiseCopyable {
  /// Appends elements that are written straight into the array's memory, without zeros or a copy before.
  ///
  /// - Parameters:
  ///   - count: how many.
  ///   - write: must write all of them.
  mutating func append(count: Int, writing write: (UnsafeMutablePointer<Element>) -> Void) {
    if count == 0 { return }
    withoutActuallyEscaping(write) { append(contentsOf: InPlace(underestimatedCount: count, write: $0)) }
  }
}

/// Elements that do not exist before an array takes them.
private struct InPlace<Element: BitwiseCopyable>: Sequence {
  let underestimatedCount: Int
  let write: (UnsafeMutablePointer<Element>) -> Void

  func makeIterator() -> EmptyCollection<Element>.Iterator { EmptyCollection<Element>().makeIterator() }

  func _copyContents(initializing buffer: UnsafeMutableBufferPointer<Element>) -> (Iterator, Int) {
    guard let base = buffer.baseAddress, buffer.count >= underestimatedCount else { return (makeIterator(), 0) }
    write(base)
    return (makeIterator(), underestimatedCount)
  }
}
