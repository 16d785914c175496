internal import CPolicyKernels
import Foundation

/// The LM head on the rows that predict something: never more than a block of rows times a block of the vocabulary is
/// in memory.
struct Head {
  let config: PolicyConfig
  let kernels: Kernels
  let norm: Vector
  let weight: Weight
  let edges: ScoredEdges
  let temperature: Float

  /// Rows and tokens of a block of logits.
  static let rowBlock = 1024
  static let vocabularyBlock = 1024

  private var hidden: Int { config.hiddenSize }
  private var vocabulary: Int { config.vocabularySize }
  private var rowCount: Int { edges.parents.count }
  private var pool: OpaquePointer { kernels.pool }

  /// What the forward pass finds, and the backward pass needs.
  struct Values {
    /// Aligned with the scored nodes.
    var logprobs: [Float]
    /// One for each row.
    var logSumExps: [Float]
    var entropies: [Float]
    var topIDs: [Int32]
    var topLogprobs: [Float]
    /// Hidden states at the rows, before and after the final norm.
    var states: FloatBuffer
    var normed: FloatBuffer
    var rms: FloatBuffer
    /// Sum of p times the rows of the head's weight, where that is frozen: with it the gradient of log-probabilities
    /// needs no logits again.
    var expected: FloatBuffer?
  }

  private func blocks(_ count: Int, _ size: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: size).map { $0..<min(count, $0 + size) }
  }

  /// Logits of a block [rows, tokens].
  private func logits(_ states: FloatBuffer, _ rows: Range<Int>, _ tokens: Range<Int>, into z: FloatBuffer) {
    kernels.multiply(
      rows.count, hidden, Matrix(states.pointer + rows.lowerBound * hidden, columns: hidden),
      .init(b: weight.from(tokens.lowerBound).transposed, n: tokens.count, c: z.pointer, ldc: tokens.count))
  }

  /// - Parameter x: The last layer's output [nodes, hidden].
  func forward(
    _ x: FloatBuffer, topK: Int, keepsExpected: Bool, interruption: (() throws -> Void)?
  ) throws -> Values {
    let space = kernels.workspace
    var values = Values(
      logprobs: [Float](repeating: 0, count: edges.rows.count), logSumExps: [Float](repeating: 0, count: rowCount),
      entropies: [Float](repeating: 0, count: rowCount), topIDs: [Int32](repeating: -1, count: rowCount * topK),
      topLogprobs: [Float](repeating: 0, count: rowCount * topK), states: space.buffer(rowCount * hidden),
      normed: space.buffer(rowCount * hidden), rms: space.buffer(rowCount),
      expected: keepsExpected ? space.zeros(rowCount * hidden) : nil)
    policy_gather(
      pool, x.pointer, Int32(POLICY_F32), Int64(hidden), edges.parents, Int64(rowCount), values.states.pointer)
    policy_rms_norm(
      pool, values.states.pointer, norm.pointer, config.rmsNormEpsilon, Int64(rowCount), Int64(hidden),
      values.normed.pointer, values.rms.pointer)
    for rows in blocks(rowCount, Self.rowBlock) {
      try forward(rows, &values, topK: topK, interruption)
    }
    return values
  }

  private func forward(
    _ rows: Range<Int>, _ values: inout Values, topK: Int, _ interruption: (() throws -> Void)?
  ) throws {
    let inverse = 1 / temperature
    let scored = edges.nodes(inRows: rows)
    var sums = [policy_softmax_sums](repeating: .init(max: -.infinity, sum: 0, weighted: 0), count: rows.count)
    var rescale = [Float](repeating: 1, count: rows.count)
    let z = kernels.workspace.buffer(rows.count * min(Self.vocabularyBlock, vocabulary))
    for tokens in blocks(vocabulary, Self.vocabularyBlock) {
      try interruption?()
      logits(values.normed, rows, tokens, into: z)
      for node in scored {
        let token = Int(edges.tokens[node])
        guard tokens.contains(token) else { continue }
        values.logprobs[node] =
          z.pointer[(edges.rows[node] - rows.lowerBound) * tokens.count + token - tokens.lowerBound]
      }
      if topK > 0 {
        values.topIDs.withUnsafeMutableBufferPointer { ids in
          values.topLogprobs.withUnsafeMutableBufferPointer { logprobs in
            guard let ids = ids.baseAddress, let logprobs = logprobs.baseAddress else { return }
            policy_head_top(
              pool, z.pointer, Int64(rows.count), Int64(tokens.count), Int64(tokens.lowerBound), Int64(topK),
              ids + rows.lowerBound * topK, logprobs + rows.lowerBound * topK)
          }
        }
      }
      guard let expected = values.expected else {
        policy_head_scan(pool, z.pointer, Int64(rows.count), Int64(tokens.count), inverse, &sums, nil)
        continue
      }
      policy_head_scan(pool, z.pointer, Int64(rows.count), Int64(tokens.count), inverse, &sums, &rescale)
      let sum = expected.pointer + rows.lowerBound * hidden
      policy_scale_rows(pool, sum, Int64(rows.count), Int64(hidden), rescale)
      kernels.multiply(
        rows.count, tokens.count, Matrix(z.pointer, columns: tokens.count),
        .init(b: weight.from(tokens.lowerBound), n: hidden, c: sum, ldc: hidden, start: .itself))
    }
    for (i, row) in rows.enumerated() {
      let s = sums[i]
      let logSum = log(s.sum)
      values.logSumExps[row] = Float(Double(s.max) + logSum)
      values.entropies[row] = Float(logSum - s.weighted / s.sum)
      rescale[i] = Float(1 / s.sum)
      for k in (row * topK)..<((row + 1) * topK) where values.topIDs[k] >= 0 {
        values.topLogprobs[k] = Float(Double(values.topLogprobs[k]) * Double(inverse) - Double(s.max) - logSum)
      }
    }
    for node in scored {
      let s = sums[edges.rows[node] - rows.lowerBound]
      values.logprobs[node] = Float(Double(values.logprobs[node]) * Double(inverse) - Double(s.max) - log(s.sum))
    }
    if let expected = values.expected {
      policy_scale_rows(
        pool, expected.pointer + rows.lowerBound * hidden, Int64(rows.count), Int64(hidden), rescale)
    }
  }

  /// d loss / d x [nodes, hidden], from the gradients of the scored nodes' log-probabilities and entropies.
  func backward(
    _ values: Values, logprobs: [Float], entropies: [Float]?, nodeCount: Int,
    into gradients: UnsafeMutablePointer<Float>, interruption: (() throws -> Void)?
  ) throws -> FloatBuffer {
    let space = kernels.workspace
    var rowLogprobs = [Float](repeating: 0, count: rowCount)
    for (node, row) in edges.rows.enumerated() { rowLogprobs[row] += logprobs[node] }
    var rowEntropies: [Float]?
    if let entropies {
      var sums = [Float](repeating: 0, count: rowCount)
      for (node, row) in edges.rows.enumerated() { sums[row] += entropies[node] }
      rowEntropies = sums
    }
    let dNormed = space.buffer(rowCount * hidden)
    if let expected = values.expected, rowEntropies == nil {
      fromExpected(expected, logprobs: logprobs, rowLogprobs: rowLogprobs, into: dNormed)
    } else {
      dNormed.zero()
      for rows in blocks(rowCount, Self.rowBlock) {
        try backward(rows, values, logprobs, rowLogprobs, rowEntropies, dNormed, gradients, interruption)
      }
    }
    let dStates = space.buffer(rowCount * hidden)
    policy_rms_norm_backward(
      pool, values.states.pointer, norm.pointer, values.rms.pointer, dNormed.pointer, Int64(rowCount), Int64(hidden),
      nil, dStates.pointer, norm.gradient.map { gradients + $0 })
    let d = space.zeros(nodeCount * hidden)
    policy_scatter_add(pool, dStates.pointer, edges.parents, Int64(rowCount), Int64(hidden), d.pointer)
    return d
  }

  /// Sum over a row's scored nodes of g · (row of W at the token - expected row) / temperature.
  private func fromExpected(
    _ expected: FloatBuffer, logprobs: [Float], rowLogprobs: [Float], into d: FloatBuffer
  ) {
    let inverse = 1 / temperature
    let factors = rowLogprobs.map { -$0 * inverse }
    d.pointer.update(from: expected.pointer, count: rowCount * hidden)
    policy_scale_rows(pool, d.pointer, Int64(rowCount), Int64(hidden), factors)
    let targets = kernels.workspace.buffer(edges.rows.count * hidden)
    policy_gather(
      pool, weight.matrix.data, weight.matrix.type, Int64(hidden), edges.tokens, Int64(edges.rows.count),
      targets.pointer)
    policy_scale_rows(
      pool, targets.pointer, Int64(edges.rows.count), Int64(hidden), logprobs.map { $0 * inverse })
    policy_scatter_add(
      pool, targets.pointer, edges.rows.map(Int32.init), Int64(edges.rows.count), Int64(hidden), d.pointer)
  }

  private func backward(
    _ rows: Range<Int>, _ values: Values, _ logprobs: [Float], _ rowLogprobs: [Float], _ rowEntropies: [Float]?,
    _ d: FloatBuffer, _ gradients: UnsafeMutablePointer<Float>, _ interruption: (() throws -> Void)?
  ) throws {
    let inverse = 1 / temperature
    let scored = edges.nodes(inRows: rows)
    let z = kernels.workspace.buffer(rows.count * min(Self.vocabularyBlock, vocabulary))
    let (logSumExps, entropies) = (Array(values.logSumExps[rows]), Array(values.entropies[rows]))
    let (dLogprobs, dEntropies) = (Array(rowLogprobs[rows]), rowEntropies.map { Array($0[rows]) })
    for tokens in blocks(vocabulary, Self.vocabularyBlock) {
      try interruption?()
      logits(values.normed, rows, tokens, into: z)
      policy_head_gradient(
        pool, z.pointer, Int64(rows.count), Int64(tokens.count), inverse, logSumExps, entropies, dLogprobs, dEntropies)
      for node in scored {
        let token = Int(edges.tokens[node])
        guard tokens.contains(token) else { continue }
        z.pointer[(edges.rows[node] - rows.lowerBound) * tokens.count + token - tokens.lowerBound] +=
          logprobs[node] * inverse
      }
      kernels.multiply(
        rows.count, tokens.count, Matrix(z.pointer, columns: tokens.count),
        .init(
          b: weight.from(tokens.lowerBound), n: hidden, c: d.pointer + rows.lowerBound * hidden, ldc: hidden,
          start: .itself))
      if let place = weight.gradient {
        kernels.multiply(
          tokens.count, rows.count, Matrix(z.pointer, columns: tokens.count).transposed,
          .init(
            b: Matrix(values.normed.pointer + rows.lowerBound * hidden, columns: hidden), n: hidden,
            c: gradients + place + tokens.lowerBound * hidden, ldc: hidden, start: .itself))
      }
    }
  }
}
