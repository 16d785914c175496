import CKernels

/// A running SHA-256 of the bytes read so far.
public struct SHA256: Sendable {
  private var state = arpo_sha256()

  public init() { arpo_sha256_begin(&state) }

  /// Adds bytes to the hash.
  public mutating func add(_ bytes: UnsafeRawBufferPointer) { arpo_sha256_add(&state, bytes.baseAddress, bytes.count) }

  /// Lower-case hexadecimal digest of everything added.
  public var hex: String {
    var copy = state
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { digest in
      arpo_sha256_read(&copy, digest.baseAddress)
      let digits = Array("0123456789abcdef".utf8)
      return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
  }
}
