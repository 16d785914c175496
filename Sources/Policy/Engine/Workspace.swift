internal import CPolicyKernels

/// Floats for kernels; goes back to its workspace when nobody holds it.
final class FloatBuffer {
  let pointer: UnsafeMutablePointer<Float>
  let count: Int
  fileprivate let capacity: Int
  private let workspace: Workspace

  fileprivate init(_ pointer: UnsafeMutablePointer<Float>, count: Int, capacity: Int, workspace: Workspace) {
    self.pointer = pointer
    self.count = count
    self.capacity = capacity
    self.workspace = workspace
  }

  deinit { workspace.give(pointer, capacity: capacity) }

  func zero() { pointer.update(repeating: 0, count: count) }

  var values: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: pointer, count: count) }
}

/// Buffers that are used again.
///
/// Steps of a run ask for the same sizes over and over, and fresh memory would have to be
/// zeroed by the system each time. Never holds more than was in use at once, and a quarter.
final class Workspace {
  private var idle: [(pointer: UnsafeMutablePointer<Float>, capacity: Int)] = []
  private var idleFloats = 0
  private var usedFloats = 0
  private var peakFloats = 0

  init() {}

  /// Floats whose values are undefined.
  func buffer(_ count: Int) -> FloatBuffer {
    let wanted = max(16, (count + 15) / 16 * 16)
    let fits = idle.indices.filter { idle[$0].capacity >= wanted && idle[$0].capacity <= wanted + wanted / 4 + 1024 }
    let block: (pointer: UnsafeMutablePointer<Float>, capacity: Int)
    if let best = fits.min(by: { idle[$0].capacity < idle[$1].capacity }) {
      block = idle.remove(at: best)
      idleFloats -= block.capacity
    } else {
      trim(to: peakFloats + peakFloats / 4 - wanted)
      guard let pointer = policy_alloc(Int64(wanted)) else { preconditionFailure("out of memory: \(wanted * 4) bytes") }
      block = (pointer, wanted)
    }
    usedFloats += block.capacity
    peakFloats = max(peakFloats, usedFloats)
    return FloatBuffer(block.pointer, count: count, capacity: block.capacity, workspace: self)
  }

  func zeros(_ count: Int) -> FloatBuffer {
    let buffer = buffer(count)
    buffer.zero()
    return buffer
  }

  fileprivate func give(_ pointer: UnsafeMutablePointer<Float>, capacity: Int) {
    usedFloats -= capacity
    idle.append((pointer, capacity))
    idleFloats += capacity
  }

  /// Frees the oldest idle buffers until no more than `limit` floats are held.
  private func trim(to limit: Int) {
    while usedFloats + idleFloats > limit, !idle.isEmpty {
      let block = idle.removeFirst()
      idleFloats -= block.capacity
      policy_free(block.pointer)
    }
  }

  deinit {
    for block in idle { policy_free(block.pointer) }
  }
}
