/// A trained tensor's place in the flat layout that gradients and moments share.
public struct TrainedTensor: Sendable, Equatable {
  /// The tensor's name in a checkpoint or adapter file.
  public var name: String
  /// Row-major shape.
  public var shape: [Int]
  /// Elements of the flat layout.
  public var range: Range<Int>

  /// A tensor at a place.
  public init(name: String, shape: [Int], range: Range<Int>) {
    self.name = name
    self.shape = shape
    self.range = range
  }
}

/// A block of floats that stays where it is, zero at first.
public final class ParameterBuffer: @unchecked Sendable {
  // Sendable: the pointer never changes, and who writes is decided by the owner, one at a time or by disjoint ranges.
  /// The elements.
  public let elements: UnsafeMutableBufferPointer<Float>

  /// Zeros.
  public init(count: Int) {
    elements = .allocate(capacity: count)
    elements.initialize(repeating: 0)
  }

  deinit { elements.deallocate() }

  /// Number of elements.
  public var count: Int { elements.count }

  /// Sets all elements to 0.
  public func clear() { elements.update(repeating: 0) }
}
