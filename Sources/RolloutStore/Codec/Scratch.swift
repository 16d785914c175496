/// Memory for intermediate results, which grows and is neither cleared nor kept when it grows.
final class Scratch {
  private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  deinit { memory.deallocate() }

  /// Room for some elements, for the next caller to overwrite.
  func room<T: BitwiseCopyable>(_ type: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
    let size = max(1, count) * MemoryLayout<T>.stride
    if memory.count < size {
      memory.deallocate()
      memory = .allocate(byteCount: max(size, 4096), alignment: 64)
    }
    return memory.bindMemory(to: type).baseAddress!
  }
}
