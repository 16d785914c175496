internal import CPolicyKernels

// Linear layers with biases and adapters, forward and backward.
extension Kernels {
  /// Where a projection's result goes: rows `stride` apart.
  struct Target {
    var linear: Linear
    var pointer: UnsafeMutablePointer<Float>
    var stride: Int
  }

  /// y = x Wᵀ + b + scale · (x Aᵀ) Bᵀ for projections of one input [rows, input].
  /// - Parameter residual: Is added to the (only) result.
  /// - Returns: x Aᵀ for each projection that has an adapter.
  func project(
    _ x: UnsafePointer<Float>, rows: Int, _ targets: [Target], residual: UnsafePointer<Float>? = nil
  ) -> [FloatBuffer?] {
    guard let input = targets.first?.linear.input else { return [] }
    let a = Matrix(x, columns: input)
    multiply(
      rows, input, a,
      targets.map { target in
        let start: Start =
          if let residual {
            .matrix(residual, target.stride)
          } else if let bias = target.linear.bias {
            .row(UnsafePointer(bias.pointer))
          } else {
            .zero
          }
        return Part(
          b: target.linear.weight.matrix.transposed, n: target.linear.output, c: target.pointer, ldc: target.stride,
          start: start)
      })
    if residual != nil {
      for target in targets {
        guard let bias = target.linear.bias else { continue }
        policy_add_row(
          pool, target.pointer, Int64(rows), Int64(target.linear.output), Int64(target.stride), bias.pointer)
      }
    }
    let reduced = targets.map { target in target.linear.lora.map { workspace.buffer(rows * $0.a.rows) } }
    let parts = zip(targets, reduced).compactMap { target, buffer -> Part? in
      guard let lora = target.linear.lora, let buffer else { return nil }
      return Part(b: lora.a.matrix.transposed, n: lora.a.rows, c: buffer.pointer, ldc: lora.a.rows)
    }
    if !parts.isEmpty { multiply(rows, input, a, parts) }
    for (target, buffer) in zip(targets, reduced) {
      guard let lora = target.linear.lora, let buffer else { continue }
      multiply(
        rows, lora.a.rows, Matrix(buffer.pointer, columns: lora.a.rows), alpha: lora.scale,
        Part(
          b: lora.b.matrix.transposed, n: target.linear.output, c: target.pointer, ldc: target.stride, start: .itself))
    }
    return reduced
  }

  /// d loss / d x of one projection, from d loss / d y in the target.
  /// - Parameter start: What it is added to.
  /// - Returns: d loss / d (x Aᵀ), if there is an adapter.
  @discardableResult
  func projectBackwardInput(
    rows: Int, _ target: Target, dx: UnsafeMutablePointer<Float>?, start: Start = .zero
  ) -> FloatBuffer? {
    let linear = target.linear
    let dy = Matrix(target.pointer, columns: target.stride)
    if let dx {
      multiply(
        rows, linear.output, dy,
        Part(b: linear.weight.matrix, n: linear.input, c: dx, ldc: linear.input, start: start))
    }
    guard let lora = linear.lora else { return nil }
    let rank = lora.a.rows
    let dReduced = workspace.buffer(rows * rank)
    multiply(
      rows, linear.output, dy, alpha: lora.scale,
      Part(b: lora.b.matrix, n: rank, c: dReduced.pointer, ldc: rank))
    if let dx {
      multiply(
        rows, rank, Matrix(dReduced.pointer, columns: rank),
        Part(b: lora.a.matrix, n: linear.input, c: dx, ldc: linear.input, start: .itself))
    }
    return dReduced
  }

  /// Adds d loss / d weight of one projection, from d loss / d y in the target and what the other functions returned.
  func projectBackwardWeights(
    _ x: UnsafePointer<Float>, rows: Int, _ target: Target, reduced: FloatBuffer?, dReduced: FloatBuffer?,
    into gradients: UnsafeMutablePointer<Float>
  ) {
    let linear = target.linear
    let (input, output) = (linear.input, linear.output)
    let dy = Matrix(target.pointer, columns: target.stride)
    if let place = linear.weight.gradient {
      multiply(
        output, rows, dy.transposed,
        Part(b: Matrix(x, columns: input), n: input, c: gradients + place, ldc: input, start: .itself))
    }
    if let place = linear.bias?.gradient {
      policy_column_sums(pool, target.pointer, Int64(rows), Int64(output), Int64(target.stride), gradients + place)
    }
    guard let lora = linear.lora, let a = lora.a.gradient, let b = lora.b.gradient, let reduced, let dReduced else {
      return
    }
    let rank = lora.a.rows
    multiply(
      rank, rows, Matrix(dReduced.pointer, columns: rank).transposed,
      Part(b: Matrix(x, columns: input), n: input, c: gradients + a, ldc: input, start: .itself))
    // As its transpose: the long side of the result runs along the vectors.
    let db = workspace.buffer(rank * output)
    multiply(
      rank, rows, Matrix(reduced.pointer, columns: rank).transposed, alpha: lora.scale,
      Part(b: dy, n: output, c: db.pointer, ldc: output))
    policy_add_transposed(pool, db.pointer, Int64(rank), Int64(output), gradients + b)
  }

  /// The way back: targets hold d loss / d y.
  /// - Parameters:
  ///   - reduced: What ``project(_:rows:_:residual:)`` returned.
  ///   - dx: Is overwritten with d loss / d x; nil if nobody needs it.
  ///   - gradients: What d loss / d weight is added to.
  func projectBackward(
    _ x: UnsafePointer<Float>, rows: Int, _ targets: [Target], reduced: [FloatBuffer?],
    dx: UnsafeMutablePointer<Float>?, into gradients: UnsafeMutablePointer<Float>
  ) {
    for (i, target) in targets.enumerated() {
      let dReduced = projectBackwardInput(rows: rows, target, dx: dx, start: i == 0 ? .zero : .itself)
      projectBackwardWeights(x, rows: rows, target, reduced: reduced[i], dReduced: dReduced, into: gradients)
    }
  }
}
