import CPolicyKernels
import Foundation
import TestSupport
import Testing

@testable import Policy

/// Each kernel against its plain definition, on random shapes with ones, primes and tails, for every instruction set that
/// this processor has and for one, two and three threads.
@Suite("Kernels")
struct KernelTests {
  struct Setting: CustomTestStringConvertible {
    var instructionSet: InstructionSet
    var threads: Int
    var testDescription: String { "\(instructionSet), \(threads) threads" }
  }

  static let settings = InstructionSet.allCases.filter(\.isSupported).flatMap { set in
    [1, 2, 3].map { Setting(instructionSet: set, threads: $0) }
  }

  /// Sizes around the widths of vectors and tiles.
  static let sizes = [1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 16, 17, 31, 32, 33, 37, 48, 61, 64, 65, 97, 131]

  private struct Trial: ~Copyable {
    let pool: OpaquePointer
    var generator: SeededGenerator

    init(_ setting: Setting, seed: UInt64 = 7) throws {
      pool = try #require(policy_pool_create(Int32(setting.threads), setting.instructionSet.rawValue))
      generator = SeededGenerator(seed: seed)
    }

    deinit { policy_pool_free(pool) }

    mutating func size() -> Int { KernelTests.sizes.randomElement(using: &generator) ?? 1 }
    mutating func floats(_ count: Int, _ bound: Float = 1) -> [Float] {
      (0..<count).map { _ in Float.random(in: -bound...bound, using: &generator) }
    }
    mutating func ids(_ count: Int, below bound: Int) -> [Int32] {
      (0..<count).map { _ in Int32.random(in: 0..<Int32(bound), using: &generator) }
    }
  }

  /// Largest difference, in units of the largest expected value.
  private func expectClose(
    _ got: [Float], _ expected: [Float], _ tolerance: Float = 3e-6, _ what: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let scale = expected.reduce(1) { max($0, abs($1)) }
    let difference = largestDifference(got, expected) / scale
    #expect(
      got.count == expected.count && difference <= tolerance, "\(what) \(difference)", sourceLocation: sourceLocation)
  }

  @Test("products of every layout, type and start", arguments: settings)
  func products(_ setting: Setting) throws {
    var t = try Trial(setting)
    for round in 0..<60 {
      let (m, k) = (t.size(), round % 9 == 0 ? t.size() * 7 : t.size())
      let type = [POLICY_F32, POLICY_BF16, POLICY_F16][round % 3]
      let a = t.floats(m * k)
      let aT = round % 2 == 0
      let alpha: Float = round % 4 == 0 ? -0.75 : 1
      var parts: [(n: Int, b: [UInt8], transposed: Bool, ldc: Int, start: Int)] = []
      for _ in 0...(round % 3) {
        let n = t.size()
        parts.append((n, stored(t.floats(n * k), type), Bool.random(using: &t.generator), n + round % 5, round % 4))
      }
      let start = parts.map { t.floats(m * $0.ldc) }
      func run(_ product: (policy_matrix, [policy_product]) -> Void) -> [[Float]] {
        let results = start.map { UnsafeMutableBufferPointer<Float>.copy(of: $0) }
        let starts = start.map { UnsafeMutableBufferPointer<Float>.copy(of: $0) }
        let factors = parts.map { UnsafeMutableBufferPointer<UInt8>.copy(of: $0.b) }
        let left = UnsafeMutableBufferPointer<Float>.copy(of: a)
        defer {
          for buffer in results + starts + [left] { buffer.deallocate() }
          for buffer in factors { buffer.deallocate() }
        }
        let products = parts.indices.map { i in
          let part = parts[i]
          // One byte in, so that nothing is aligned.
          let matrix = policy_matrix(
            data: factors[i].baseAddress.map { UnsafeRawPointer($0 + 1) }, type: Int32(type),
            rows: part.transposed ? 1 : Int64(part.n), columns: part.transposed ? Int64(k) : 1)
          let from: (UnsafeMutablePointer<Float>?, Int) = [
            (nil, 0), (results[i].baseAddress, part.ldc), (starts[i].baseAddress, part.ldc), (starts[i].baseAddress, 0),
          ][part.start]
          return policy_product(
            b: matrix, n: Int64(part.n), c: results[i].baseAddress, ldc: Int64(part.ldc), start: from.0,
            ld_start: Int64(from.1))
        }
        product(
          policy_matrix(
            data: left.baseAddress, type: Int32(POLICY_F32), rows: aT ? 1 : Int64(k), columns: aT ? Int64(m) : 1),
          products)
        return results.map { Array($0) }
      }
      let got = run { policy_gemm(t.pool, Int64(m), Int64(k), alpha, $0, $1, Int64($1.count)) }
      let expected = run { reference_gemm(Int64(m), Int64(k), alpha, $0, $1, Int64($1.count)) }
      for (g, e) in zip(got, expected) { expectClose(g, e, 3e-6, "\(m) x \(k) x \(parts.map(\.n))") }
    }
  }

  /// Numbers in a type, one byte from the start.
  private func stored(_ x: [Float], _ type: Int) -> [UInt8] {
    [0]
      + x.flatMap { value -> [UInt8] in
        switch type {
        case POLICY_F32: withUnsafeBytes(of: value) { Array($0) }
        case POLICY_BF16: withUnsafeBytes(of: HalfPrecision.bfloat16(value)) { Array($0) }
        default: withUnsafeBytes(of: HalfPrecision.half(value)) { Array($0) }
        }
      }
  }

  @Test("halves widen exactly, subnormal numbers and infinities included", arguments: settings)
  func widening(_ setting: Setting) throws {
    let t = try Trial(setting)
    let bits = (0...UInt16.max).map { $0 }
    let ids: [Int32] = (0..<1024).map { $0 }
    for (type, widen) in [
      (POLICY_F16, { HalfPrecision.float(half: $0) }), (POLICY_BF16, { HalfPrecision.float(bfloat16: $0) }),
    ] as [(Int, (UInt16) -> Float)] {
      var out = [Float](repeating: 0, count: 65536)
      policy_gather(t.pool, bits, Int32(type), 64, ids, 1024, &out)
      #expect(zip(out, bits).allSatisfy { $0.bitPattern == widen($1).bitPattern || ($0.isNaN && widen($1).isNaN) })
    }
  }

  @Test("rows", arguments: settings)
  func rows(_ setting: Setting) throws {
    var t = try Trial(setting)
    for round in 0..<30 {
      let (rows, n) = (t.size(), t.size())
      let (x, w, dy, start) = (t.floats(rows * n, 2), t.floats(n), t.floats(rows * n), t.floats(rows * n))
      var (y, rms) = ([Float](repeating: 0, count: rows * n), [Float](repeating: 0, count: rows))
      var (y2, rms2) = (y, rms)
      policy_rms_norm(t.pool, x, w, 1e-3, Int64(rows), Int64(n), &y, &rms)
      reference_rms_norm(x, w, 1e-3, Int64(rows), Int64(n), &y2, &rms2)
      expectClose(y, y2)
      expectClose(rms, rms2)
      var (dx, dw) = (start, t.floats(n))
      var (dx2, dw2) = (dx, dw)
      if round % 2 == 0 {
        dx.withUnsafeMutableBufferPointer { dx in
          policy_rms_norm_backward(
            t.pool, x, w, rms2, dy, Int64(rows), Int64(n), UnsafePointer(dx.baseAddress), dx.baseAddress, &dw)
        }
        reference_rms_norm_backward(x, w, rms2, dy, Int64(rows), Int64(n), start, &dx2, &dw2)
      } else {
        policy_rms_norm_backward(t.pool, x, w, rms2, dy, Int64(rows), Int64(n), nil, &dx, nil)
        reference_rms_norm_backward(x, w, rms2, dy, Int64(rows), Int64(n), nil, &dx2, nil)
      }
      expectClose(dx, dx2)
      expectClose(dw, dw2)

      let gateUp = t.floats(rows * 2 * n, 9)
      var (out, out2) = (y, y)
      policy_swiglu(t.pool, gateUp, Int64(rows), Int64(n), &out)
      reference_swiglu(gateUp, Int64(rows), Int64(n), &out2)
      expectClose(out, out2, 1e-6)
      var (d, d2) = (gateUp, gateUp)
      policy_swiglu_backward(t.pool, &d, dy, Int64(rows), Int64(n), &out)
      reference_swiglu_backward(&d2, dy, Int64(rows), Int64(n), &out2)
      expectClose(d, d2, 1e-6)
      expectClose(out, out2, 1e-6)

      let ids = t.ids(rows, below: 9)
      var (table, table2) = (t.floats(9 * n), [Float]())
      table2 = table
      policy_scatter_add(t.pool, x, ids, Int64(rows), Int64(n), &table)
      reference_scatter_add(x, ids, Int64(rows), Int64(n), &table2)
      expectClose(table, table2, 0)
      policy_gather(t.pool, table, Int32(POLICY_F32), Int64(n), ids, Int64(rows), &out)
      reference_gather(table, Int32(POLICY_F32), Int64(n), ids, Int64(rows), &out2)
      expectClose(out, out2, 0)

      var (sums, sums2) = (w, w)
      policy_column_sums(t.pool, gateUp, Int64(rows), Int64(n), Int64(2 * n), &sums)
      reference_column_sums(gateUp, Int64(rows), Int64(n), Int64(2 * n), &sums2)
      expectClose(sums, sums2)
      (d, d2) = (gateUp, gateUp)
      policy_add_row(t.pool, &d, Int64(rows), Int64(n), Int64(2 * n), w)
      reference_add_row(&d2, Int64(rows), Int64(n), Int64(2 * n), w)
      expectClose(d, d2, 0)
      var (xT, xT2) = (x, x)
      policy_add_transposed(t.pool, dy, Int64(rows), Int64(n), &xT)
      reference_add_transposed(dy, Int64(rows), Int64(n), &xT2)
      expectClose(xT, xT2, 0)
      (xT, xT2) = (x, x)
      policy_scale_rows(t.pool, &xT, Int64(rows), Int64(n), rms2)
      reference_scale_rows(&xT2, Int64(rows), Int64(n), rms2)
      expectClose(xT, xT2, 0)
    }
  }

  /// Segments of a random forest with the shapes of random heads.
  @Test("heads and attention over a forest", arguments: settings)
  func attention(_ setting: Setting) throws {
    var t = try Trial(setting)
    for round in 0..<10 {
      let groups = 1 + round % 3
      let heads = groups * [1, 2, 7, 3, 40][round % 5]
      let width = [2, 12, 16, 64, 10, 34][round % 6]
      let shape = policy_heads(heads: Int32(heads), groups: Int32(groups), width: Int32(width))
      let forest = try RandomForest.make(nodes: round % 4 == 0 ? 3 : 100, using: &t.generator, vocabulary: 9)
      let plan = AttentionPlan(forest)
      let rows = forest.count
      let hasNorm = round % 2 == 0
      let (qNorm, kNorm) = (t.floats(width), t.floats(width))
      let (cosines, sines) = (t.floats(rows * width / 2), t.floats(rows * width / 2))
      let qkv = t.floats(rows * (heads + 2 * groups) * width, 3)
      func zeros(_ count: Int) -> [Float] { [Float](repeating: 0, count: count) }
      var (q, k, v) = (zeros(rows * heads * width), zeros(rows * groups * width), zeros(rows * groups * width))
      var (q2, k2, v2) = (q, k, v)
      policy_rope(
        t.pool, shape, Int64(rows), qkv, cosines, sines, forest.positions, hasNorm ? qNorm : nil, hasNorm ? kNorm : nil,
        1e-5, &q, &k, &v, Int64(rows), 0)
      reference_rope(
        shape, Int64(rows), qkv, cosines, sines, forest.positions, hasNorm ? qNorm : nil, hasNorm ? kNorm : nil, 1e-5,
        &q2, &k2, &v2, Int64(rows), 0)
      expectClose(q, q2)
      expectClose(k, k2)
      #expect(v == v2)

      var (out, lse) = (zeros(q.count), zeros(heads * rows))
      var (out2, lse2) = (out, lse)
      let dOut = t.floats(q.count)
      let parts = Int(policy_attend_parts(t.pool, shape))
      let padded = Int(policy_attend_padded(t.pool, shape))
      var (dq, dk, dv) = (zeros(q.count), zeros(parts * groups * rows * padded), zeros(parts * groups * rows * padded))
      var (dq2, dk2, dv2) = (dq, zeros(groups * rows * padded), zeros(groups * rows * padded))
      q2.withUnsafeBufferPointer { q in
        k2.withUnsafeBufferPointer { k in
          v2.withUnsafeBufferPointer { v in
            guard let q = q.baseAddress, let k = k.baseAddress, let v = v.baseAddress else { return }
            plan.with(shape, q: q, k: k, v: v) { attention in
              withUnsafePointer(to: attention) {
                policy_attend(t.pool, $0, &out, &lse)
                reference_attend($0, &out2, &lse2)
                policy_attend_backward(t.pool, $0, out2, lse2, dOut, &dq, &dk, &dv)
                reference_attend_backward($0, out2, lse2, dOut, Int64(padded), &dq2, &dk2, &dv2)
              }
            }
          }
        }
      }
      let what = "\(heads) heads in \(groups) groups of \(width), \(rows) nodes"
      expectClose(out, out2, 5e-6, what)
      expectClose(lse, lse2, 5e-6, what)
      func summed(_ x: [Float]) -> [Float] {
        (0..<(groups * rows * padded)).map { i in
          i % padded < width ? (0..<parts).reduce(0) { $0 + x[$1 * groups * rows * padded + i] } : 0
        }
      }
      expectClose(dq, dq2, 2e-5, what)
      expectClose(summed(dk), dk2, 2e-5, what)
      expectClose(summed(dv), dv2, 2e-5, what)

      var (dqkv, dqNorm, dkNorm) = (zeros(qkv.count), zeros(width), zeros(width))
      var (dqkv2, dqNorm2, dkNorm2) = (dqkv, dqNorm, dkNorm)
      policy_rope_backward(
        t.pool, shape, Int64(rows), qkv, cosines, sines, forest.positions, hasNorm ? qNorm : nil, hasNorm ? kNorm : nil,
        1e-5, dq, dk, dv, Int64(parts), Int64(padded), &dqkv, &dqNorm, &dkNorm)
      reference_rope_backward(
        shape, Int64(rows), qkv, cosines, sines, forest.positions, hasNorm ? qNorm : nil, hasNorm ? kNorm : nil, 1e-5,
        dq, dk, dv, Int64(parts), Int64(padded), &dqkv2, &dqNorm2, &dkNorm2)
      expectClose(dqkv, dqkv2, 5e-6, what)
      expectClose(dqNorm, dqNorm2, 5e-6, what)
      expectClose(dkNorm, dkNorm2, 5e-6, what)
    }
  }

  @Test("the LM head's rows", arguments: settings)
  func head(_ setting: Setting) throws {
    var t = try Trial(setting)
    for round in 0..<30 {
      let (rows, top) = (t.size(), round % 6)
      let inverse: Float = [1, 2, 0.7][round % 3]
      var sums = [policy_softmax_sums](repeating: .init(max: -.infinity, sum: 0, weighted: 0), count: rows)
      var sums2 = sums
      var (ids, values) = ([Int32](repeating: -1, count: rows * top), [Float](repeating: 0, count: rows * top))
      var (ids2, values2) = (ids, values)
      var seen = 0
      var z: [Float] = []
      var z2: [Float] = []
      var n = 1
      for block in 0..<3 {
        n = t.size()
        z = t.floats(rows * n, 20).map { round % 4 == 0 ? $0.rounded() : $0 }
        z2 = z
        if top > 0 {
          policy_head_top(t.pool, z, Int64(rows), Int64(n), Int64(seen), Int64(top), &ids, &values)
          reference_head_top(z, Int64(rows), Int64(n), Int64(seen), Int64(top), &ids2, &values2)
        }
        if block == 1 {
          policy_head_scan(t.pool, &z, Int64(rows), Int64(n), inverse, &sums, nil)
          reference_head_scan(&z2, Int64(rows), Int64(n), inverse, &sums2, nil)
          #expect(z == z2)
        } else {
          var (factors, factors2) = ([Float](repeating: 0, count: rows), [Float](repeating: 0, count: rows))
          policy_head_scan(t.pool, &z, Int64(rows), Int64(n), inverse, &sums, &factors)
          reference_head_scan(&z2, Int64(rows), Int64(n), inverse, &sums2, &factors2)
          expectClose(factors, factors2)
          expectClose(z, z2)
        }
        seen += n
      }
      #expect(ids == ids2 && values == values2)
      expectClose(sums.map(\.max), sums2.map(\.max), 2e-7)
      expectClose(sums.map { Float($0.sum) }, sums2.map { Float($0.sum) }, 1e-5)
      expectClose(sums.map { Float($0.weighted) }, sums2.map { Float($0.weighted) }, 2e-5)

      let lse = sums2.map { $0.max + Float(log($0.sum)) }
      let entropy = sums2.map { Float(log($0.sum) - $0.weighted / $0.sum) }
      let (dLogprob, dEntropy) = (t.floats(rows), t.floats(rows))
      z = t.floats(rows * n, 3)
      z2 = z
      policy_head_gradient(
        t.pool, &z, Int64(rows), Int64(n), inverse, lse, entropy, dLogprob, round % 2 == 0 ? dEntropy : nil)
      reference_head_gradient(
        &z2, Int64(rows), Int64(n), inverse, lse, entropy, dLogprob, round % 2 == 0 ? dEntropy : nil)
      expectClose(z, z2)
    }
  }

  /// e^-z is infinite for z below -88.72 in single precision, which the lanes behind a row must not see.
  @Test("rows of very low logits", arguments: settings)
  func lowLogits(_ setting: Setting) throws {
    let t = try Trial(setting)
    for (low, inverse) in [(Float(-88.75), Float(1)), (-95, 1), (-200, 0.5), (-1e30, 1)] {
      for n in Self.sizes {
        for rescales in [false, true] {
          var z = [Float](repeating: low, count: n)
          var factors = [Float](repeating: 0, count: 1)
          var sums = [policy_softmax_sums(max: -.infinity, sum: 0, weighted: 0)]
          if rescales {
            policy_head_scan(t.pool, &z, 1, Int64(n), inverse, &sums, &factors)
          } else {
            policy_head_scan(t.pool, &z, 1, Int64(n), inverse, &sums, nil)
          }
          #expect(sums[0].sum == Double(n) && sums[0].weighted == 0 && sums[0].max == low * inverse, "\(low), \(n)")
          if rescales { #expect(z.allSatisfy { $0 == 1 }) }
        }
      }
    }
  }

  @Test("NaN and infinity in a logit come through", arguments: settings)
  func poison(_ setting: Setting) throws {
    let t = try Trial(setting)
    for bad in [Float.nan, .infinity] {
      for place in [0, 17, 36] {
        var z = [Float](repeating: 0.5, count: 37)
        z[place] = bad
        var sums = [policy_softmax_sums(max: -.infinity, sum: 0, weighted: 0)]
        policy_head_scan(t.pool, &z, 1, 37, 1, &sums, nil)
        #expect(!sums[0].sum.isFinite || sums[0].max.isNaN)
      }
    }
  }
}

extension UnsafeMutableBufferPointer where Element: BitwiseCopyable {
  fileprivate static func copy(of values: [Element]) -> Self {
    let buffer = Self.allocate(capacity: values.count)
    _ = buffer.initialize(from: values)
    return buffer
  }
}
