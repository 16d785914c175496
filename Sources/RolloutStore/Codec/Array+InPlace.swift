extension Array where Element: BitwiseCopyable {
  /// Appends elements that are written straight into the array's memory, without zeros or a copy before.
  ///
  /// - Parameters:
  ///   - count: how many.
  ///   - write: must write all of them.
  mutating func append(count: Int, writing write: (UnsafeMutablePointer<Element>) -> Void) {
    append(addingCapacity: count) { span in
      span.withUnsafeMutableBufferPointer { buffer, initialized in
        guard let base = buffer.baseAddress else { return }
        write(base + initialized)
        initialized += count
      }
    }
  }
}
