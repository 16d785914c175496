internal import CPolicyKernels

/// A matrix that a kernel reads.
typealias Matrix = policy_matrix

extension policy_matrix {
  /// `columns` floats a row, row-major.
  init(_ floats: UnsafePointer<Float>, columns: Int) {
    self.init(data: UnsafeRawPointer(floats), type: Int32(POLICY_F32), rows: Int64(columns), columns: 1)
  }

  var transposed: Matrix { Matrix(data: data, type: type, rows: columns, columns: rows) }
}

/// The instruction sets that the kernels are written for.
public enum InstructionSet: Int32, Sendable, CaseIterable {
  /// What every processor of the architecture has.
  case portable = 0
  case avx2 = 1
  case avx512 = 2

  /// True if this processor runs it.
  public var isSupported: Bool { policy_isa_supported(rawValue) == 1 }
  /// The fastest that this processor runs.
  public static var best: InstructionSet { InstructionSet(rawValue: policy_isa_best()) ?? .portable }
}

/// The threads that kernels run on and the kernels that take more than a call.
final class Kernels {
  let pool: OpaquePointer
  let workspace = Workspace()

  init(threads: Int, instructionSet: InstructionSet) throws(PolicyError) {
    guard threads >= 1, threads <= 1024 else { throw PolicyError(.unsupported, "\(threads) threads") }
    guard instructionSet.isSupported else {
      throw PolicyError(.unsupported, "this processor has no \(instructionSet)")
    }
    guard let pool = policy_pool_create(Int32(threads), instructionSet.rawValue) else {
      throw PolicyError(.unsupported, "the system starts no \(threads) threads")
    }
    self.pool = pool
  }

  deinit { policy_pool_free(pool) }

  /// One block of columns of a product.
  struct Part {
    /// The right factor [k, n].
    var b: Matrix
    var n: Int
    var c: UnsafeMutablePointer<Float>
    /// Stride of c's rows.
    var ldc: Int
    var start: Start = .zero
  }

  /// What a product is added to.
  enum Start {
    case zero
    /// The result's own old values.
    case itself
    /// A matrix of the result's shape, rows this far apart.
    case matrix(UnsafePointer<Float>, Int)
    /// One row for all.
    case row(UnsafePointer<Float>)
  }

  /// c = start + alpha · a [m, k] · b for every part.
  func multiply(_ m: Int, _ k: Int, _ a: Matrix, alpha: Float = 1, _ parts: [Part]) {
    let products = parts.map { part in
      let start: (UnsafePointer<Float>?, Int) =
        switch part.start {
        case .zero: (nil, 0)
        case .itself: (UnsafePointer(part.c), part.ldc)
        case .matrix(let p, let ld): (p, ld)
        case .row(let p): (p, 0)
        }
      return policy_product(
        b: part.b, n: Int64(part.n), c: part.c, ldc: Int64(part.ldc), start: start.0, ld_start: Int64(start.1))
    }
    policy_gemm(pool, Int64(m), Int64(k), alpha, a, products, Int64(products.count))
  }

  func multiply(_ m: Int, _ k: Int, _ a: Matrix, alpha: Float = 1, _ part: Part) {
    multiply(m, k, a, alpha: alpha, [part])
  }
}
