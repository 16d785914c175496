internal import CPolicyKernels

/// What the backward pass of a layer needs of its forward pass.
struct LayerActivations {
  /// The layer's input [rows, hidden].
  let input: FloatBuffer
  let inputRMS: FloatBuffer
  /// The projections before their norms, kept only where there are norms.
  let qkv: FloatBuffer?
  let q: FloatBuffer
  let k: FloatBuffer
  let v: FloatBuffer
  let attended: FloatBuffer
  let logSumExp: FloatBuffer
  /// Input plus attention [rows, hidden].
  let middle: FloatBuffer
  let middleRMS: FloatBuffer
  let gateUp: FloatBuffer
  /// x Aᵀ of q, k, v, o, gate, up, down.
  let reduced: [FloatBuffer?]
}

/// One decoder layer on the nodes of a forest.
struct Layer {
  let config: PolicyConfig
  let kernels: Kernels
  let weights: LayerWeights
  let plan: AttentionPlan
  let positions: [Int32]
  let rotary: RotaryTable

  private var rows: Int { positions.count }
  private var hidden: Int { config.hiddenSize }
  private var inner: Int { config.intermediateSize }
  private var queryWidth: Int { config.headCount * config.headDimension }
  private var keyWidth: Int { config.keyValueHeadCount * config.headDimension }
  private var width: Int { queryWidth + 2 * keyWidth }
  private var pool: OpaquePointer { kernels.pool }
  private var heads: policy_heads {
    policy_heads(
      heads: Int32(config.headCount), groups: Int32(config.keyValueHeadCount), width: Int32(config.headDimension))
  }

  /// Bytes that the activations of a layer take up, and its input alone.
  static func bytes(_ config: PolicyConfig, rows: Int, loraRank: Int) -> (all: Int, input: Int) {
    let queries = config.headCount * config.headDimension
    let keys = config.keyValueHeadCount * config.headDimension
    var floats = 2 * config.hiddenSize + 2 * queries + 2 * keys + 2 * config.intermediateSize + config.headCount + 2
    if config.hasQKNorm { floats += queries + 2 * keys }
    floats += 7 * loraRank
    return (4 * rows * floats, 4 * rows * config.hiddenSize)
  }

  /// Where the projections of the attention stand in a row of `qkv`.
  private func qkvTargets(_ qkv: FloatBuffer) -> [Kernels.Target] {
    [
      .init(linear: weights.q, pointer: qkv.pointer, stride: width),
      .init(linear: weights.k, pointer: qkv.pointer + queryWidth, stride: width),
      .init(linear: weights.v, pointer: qkv.pointer + queryWidth + keyWidth, stride: width),
    ]
  }

  private func gateUpTargets(_ gateUp: FloatBuffer) -> [Kernels.Target] {
    [
      .init(linear: weights.gate, pointer: gateUp.pointer, stride: 2 * inner),
      .init(linear: weights.up, pointer: gateUp.pointer + inner, stride: 2 * inner),
    ]
  }

  private func normed(_ x: FloatBuffer, _ weight: Vector, _ rms: FloatBuffer) -> FloatBuffer {
    let y = kernels.workspace.buffer(rows * hidden)
    policy_rms_norm(
      pool, x.pointer, weight.pointer, config.rmsNormEpsilon, Int64(rows), Int64(hidden), y.pointer, rms.pointer)
    return y
  }

  /// Where the keys and values of some rows go in a cache: rows of a pass, first row in the cache.
  struct CachePlace {
    var query: Int
    var count: Int
    var row: Int
  }

  /// Rows that the MLP takes at once where nothing is kept.
  private static let rowBlock = 1024

  /// The layer's output [rows, hidden].
  func output(_ input: FloatBuffer) -> FloatBuffer {
    pass(input, keys: ownKeys(), values: ownKeys(), places: ownPlace, block: Self.rowBlock).output
  }

  /// The same with keys and values that hold more than these rows' [key-value heads, the plan's capacity, width].
  func output(
    _ input: FloatBuffer, keys: FloatBuffer, values: FloatBuffer, places: [CachePlace]
  ) -> FloatBuffer { pass(input, keys: keys, values: values, places: places, block: Self.rowBlock).output }

  /// The layer's output and what the way back needs.
  func forward(_ input: FloatBuffer) -> (output: FloatBuffer, activations: LayerActivations) {
    pass(input, keys: ownKeys(), values: ownKeys(), places: ownPlace, block: rows)
  }

  private func ownKeys() -> FloatBuffer { kernels.workspace.buffer(rows * keyWidth) }
  private var ownPlace: [CachePlace] { [CachePlace(query: 0, count: rows, row: 0)] }

  /// - Parameter block: Rows that the MLP takes at once; if it is not all of them, the activations are incomplete.
  private func pass(
    _ input: FloatBuffer, keys k: FloatBuffer, values v: FloatBuffer, places: [CachePlace], block: Int
  ) -> (output: FloatBuffer, activations: LayerActivations) {
    let space = kernels.workspace
    let inputRMS = space.buffer(rows)
    var reduced: [FloatBuffer?] = []
    let q = space.buffer(rows * queryWidth)
    let qkv = projections(input, inputRMS, &reduced)
    rotate(qkv, places, q: q, k: k, v: v)
    let attended = space.buffer(rows * queryWidth)
    let logSumExp = space.buffer(rows * config.headCount)
    plan.with(heads, q: q.pointer, k: k.pointer, v: v.pointer) { attention in
      withUnsafePointer(to: attention) { policy_attend(pool, $0, attended.pointer, logSumExp.pointer) }
    }
    let middle = space.buffer(rows * hidden)
    reduced += kernels.project(
      attended.pointer, rows: rows, [.init(linear: weights.o, pointer: middle.pointer, stride: hidden)],
      residual: input.pointer)

    let middleRMS = space.buffer(rows)
    let output = space.buffer(rows * hidden)
    let block = min(rows, block)
    let gateUp = space.buffer(block * 2 * inner)
    for first in stride(from: 0, to: rows, by: max(1, block)) {
      let count = min(block, rows - first)
      reduced += feedForward(middle, first, count, middleRMS, gateUp: gateUp, output: output)
    }
    let activations = LayerActivations(
      input: input, inputRMS: inputRMS, qkv: config.hasQKNorm ? qkv : nil, q: q, k: k, v: v, attended: attended,
      logSumExp: logSumExp, middle: middle, middleRMS: middleRMS, gateUp: gateUp, reduced: reduced)
    return (output, activations)
  }

  private func projections(_ input: FloatBuffer, _ rms: FloatBuffer, _ reduced: inout [FloatBuffer?]) -> FloatBuffer {
    let qkv = kernels.workspace.buffer(rows * width)
    let x = normed(input, weights.inputNorm, rms)
    reduced += kernels.project(x.pointer, rows: rows, qkvTargets(qkv))
    return qkv
  }

  /// Projections to heads, with their norms and rotation.
  private func rotate(_ qkv: FloatBuffer, _ places: [CachePlace], q: FloatBuffer, k: FloatBuffer, v: FloatBuffer) {
    positions.withUnsafeBufferPointer { positions in
      for place in places {
        guard let positions = positions.baseAddress else { continue }
        policy_rope(
          pool, heads, Int64(place.count), qkv.pointer + place.query * width, rotary.cosines, rotary.sines,
          positions + place.query, weights.qNorm?.pointer, weights.kNorm?.pointer, config.rmsNormEpsilon,
          q.pointer + place.query * queryWidth, k.pointer, v.pointer, Int64(plan.capacity), Int64(place.row))
      }
    }
  }

  /// The MLP of some rows.
  /// - Parameter gateUp: Gets the two projections of these rows.
  /// - Returns: x Aᵀ of gate, up and down.
  private func feedForward(
    _ middle: FloatBuffer, _ first: Int, _ count: Int, _ rms: FloatBuffer, gateUp: FloatBuffer, output: FloatBuffer
  ) -> [FloatBuffer?] {
    let space = kernels.workspace
    let residual = middle.pointer + first * hidden
    var reduced: [FloatBuffer?] = []
    do {
      let x = space.buffer(count * hidden)
      policy_rms_norm(
        pool, residual, weights.postNorm.pointer, config.rmsNormEpsilon, Int64(count), Int64(hidden), x.pointer,
        rms.pointer + first)
      reduced += kernels.project(x.pointer, rows: count, gateUpTargets(gateUp))
    }
    let product = space.buffer(count * inner)
    policy_swiglu(pool, gateUp.pointer, Int64(count), Int64(inner), product.pointer)
    reduced += kernels.project(
      product.pointer, rows: count,
      [.init(linear: weights.down, pointer: output.pointer + first * hidden, stride: hidden)], residual: residual)
    return reduced
  }

  /// Turns d loss / d output into d loss / d input, in place, and adds to the gradients.
  ///
  /// Uses the activations up.
  /// - Parameter needsInput: False if nobody needs d loss / d input; then `d` is left undefined.
  func backward(
    _ d: FloatBuffer, _ saved: LayerActivations, into gradients: UnsafeMutablePointer<Float>, needsInput: Bool
  ) {
    let space = kernels.workspace
    let (rows64, hidden64) = (Int64(rows), Int64(hidden))
    do {
      let dProduct = space.buffer(rows * inner)
      let product = space.buffer(rows * inner)
      // d loss / d product first, as the product itself is computed together with the gradient of its factors.
      let down = Kernels.Target(linear: weights.down, pointer: d.pointer, stride: hidden)
      let dReduced = kernels.projectBackwardInput(rows: rows, down, dx: dProduct.pointer)
      policy_swiglu_backward(
        pool, saved.gateUp.pointer, dProduct.pointer, rows64, Int64(inner), product.pointer)
      kernels.projectBackwardWeights(
        product.pointer, rows: rows, down, reduced: saved.reduced[6], dReduced: dReduced, into: gradients)
    }
    let dx = space.buffer(rows * hidden)
    do {
      let x = normed(saved.middle, weights.postNorm, saved.middleRMS)
      kernels.projectBackward(
        x.pointer, rows: rows, gateUpTargets(saved.gateUp), reduced: Array(saved.reduced[4..<6]), dx: dx.pointer,
        into: gradients)
    }
    policy_rms_norm_backward(
      pool, saved.middle.pointer, weights.postNorm.pointer, saved.middleRMS.pointer, dx.pointer, rows64, hidden64,
      d.pointer, d.pointer, weights.postNorm.gradient.map { gradients + $0 })

    let dqkv = space.buffer(rows * width)
    do {
      let dAttended = space.buffer(rows * queryWidth)
      kernels.projectBackward(
        saved.attended.pointer, rows: rows, [.init(linear: weights.o, pointer: d.pointer, stride: hidden)],
        reduced: [saved.reduced[3]], dx: dAttended.pointer, into: gradients)
      let parts = Int(policy_attend_parts(pool, heads))
      let padded = Int(policy_attend_padded(pool, heads))
      let dq = space.buffer(rows * queryWidth)
      let dk = space.buffer(parts * config.keyValueHeadCount * rows * padded)
      let dv = space.buffer(parts * config.keyValueHeadCount * rows * padded)
      plan.with(heads, q: saved.q.pointer, k: saved.k.pointer, v: saved.v.pointer) { attention in
        withUnsafePointer(to: attention) {
          policy_attend_backward(
            pool, $0, saved.attended.pointer, saved.logSumExp.pointer, dAttended.pointer, dq.pointer, dk.pointer,
            dv.pointer)
        }
      }
      policy_rope_backward(
        pool, heads, rows64, saved.qkv?.pointer, rotary.cosines, rotary.sines, positions, weights.qNorm?.pointer,
        weights.kNorm?.pointer, config.rmsNormEpsilon, dq.pointer, dk.pointer, dv.pointer, Int64(parts),
        Int64(padded), dqkv.pointer, weights.qNorm?.gradient.map { gradients + $0 },
        weights.kNorm?.gradient.map { gradients + $0 })
    }
    let x = normed(saved.input, weights.inputNorm, saved.inputRMS)
    kernels.projectBackward(
      x.pointer, rows: rows, qkvTargets(dqkv), reduced: Array(saved.reduced[0..<3]),
      dx: needsInput ? dx.pointer : nil, into: gradients)
    guard needsInput else { return }
    policy_rms_norm_backward(
      pool, saved.input.pointer, weights.inputNorm.pointer, saved.inputRMS.pointer, dx.pointer, rows64, hidden64,
      d.pointer, d.pointer, weights.inputNorm.gradient.map { gradients + $0 })
  }
}
