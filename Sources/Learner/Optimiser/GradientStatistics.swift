import Dispatch

/// What an optimiser needs to know of a gradient before it takes a step.
public struct GradientStatistics: Sendable, Equatable {
  /// L2 norm over all elements, in double precision.
  public private(set) var norm = 0.0
  /// Elements that are infinite or not a number.
  public private(set) var notFinite = 0

  /// Blocks of this many elements are summed on their own, in order, so that the result does not depend on the number
  /// of threads.
  private static let block = 1 << 16

  /// Reads a gradient.
  public init(_ gradient: UnsafeBufferPointer<Float>) {
    let blocks = (gradient.count + Self.block - 1) / Self.block
    let sums = UnsafeMutableBufferPointer<(Double, Int)>.allocate(capacity: blocks)
    defer { sums.deallocate() }
    sums.initialize(repeating: (0, 0))
    nonisolated(unsafe) let (results, source) = (sums, gradient)
    DispatchQueue.concurrentPerform(iterations: blocks) { b in
      let start = b * Self.block
      results[b] = Self.sum(source, start..<min(start + Self.block, source.count))
    }
    var squares = 0.0
    for (sum, bad) in sums {
      squares += sum
      notFinite += bad
    }
    norm = squares.squareRoot()
  }

  /// Squares summed in eight interleaved streams, which the processor adds side by side.
  private static func sum(_ x: UnsafeBufferPointer<Float>, _ range: Range<Int>) -> (Double, Int) {
    var lanes = SIMD8<Double>(repeating: 0)
    var i = range.lowerBound
    while i + 8 <= range.upperBound {
      var part = SIMD8<Double>(repeating: 0)
      for k in 0..<8 { part[k] = Double(x[i + k]) }
      lanes += part * part
      i += 8
    }
    var total = lanes.sum()
    while i < range.upperBound {
      total += Double(x[i]) * Double(x[i])
      i += 1
    }
    if total.isFinite { return (total, 0) }
    return (total, range.reduce(0) { $0 + (x[$1].isFinite ? 0 : 1) })
  }

  /// The factor that brings the norm down to a maximum: max / (norm + 1e-6), at most 1 (torch's clip_grad_norm_).
  public func clipFactor(maxNorm: Double) -> Double { min(1, maxNorm / (norm + 1e-6)) }
}
