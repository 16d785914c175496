import CKernels
import CZstd

extension ColumnDecoder {
  /// Reads over a plane of `n` values.
  func skipPlane(_ reader: inout BlobReader, _ n: Int) throws(ColumnError) {
    switch try reader.byte() {
    case 0: _ = try reader.bytes(n)
    case 1: _ = try reader.byte()
    case 2: _ = try reader.bytes(try reader.count(1 << 28))
    case 3: _ = try reader.bytes(1 + (n + 3) / 4)
    case 4:
      _ = try reader.byte()
      let escapes = try reader.count(n)
      _ = try reader.bytes((n + 1) / 2 + escapes)
    case 5:
      _ = try reader.byte()
      for _ in 0..<(try reader.count(n)) {
        _ = try reader.count(n)
        _ = try reader.byte()
      }
    case 6:
      _ = try reader.byte()
      let others = try reader.count(n)
      _ = try reader.bytes((n + 7) / 8 + (others + 3) / 4)
    case let tag: throw ColumnError("unknown plane \(tag)")
    }
  }

  func plane(_ reader: inout BlobReader, into out: UnsafeMutableBufferPointer<UInt8>) throws(ColumnError) {
    switch try reader.byte() {
    case 0: out.baseAddress?.update(from: try reader.bytes(out.count), count: out.count)
    case 1: out.update(repeating: try reader.byte())
    case 2:
      let length = try reader.count(1 << 28)
      let frame = try reader.bytes(length)
      guard ZSTD_decompress(out.baseAddress, out.count, frame, length) == out.count else {
        throw ColumnError("a compressed plane does not have \(out.count) bytes")
      }
    case 3:
      let base = try reader.byte()
      arpo_plane_unpack2(try reader.bytes((out.count + 3) / 4), out.count, base, out.baseAddress)
    case 4:
      let base = try reader.byte()
      let escapes = try reader.count(out.count)
      let size = (out.count + 1) / 2
      let bytes = try reader.bytes(size + escapes)
      guard arpo_plane_unpack4(bytes, out.count, base, bytes + size, escapes, out.baseAddress) == escapes else {
        throw ColumnError("the escapes of a packed plane do not add up")
      }
    case 5:
      out.update(repeating: try reader.byte())
      var at = 0
      for _ in 0..<(try reader.count(out.count)) {
        at += try reader.count(out.count)
        guard at < out.count else { throw ColumnError("a value behind the end of a sparse plane") }
        out[at] = try reader.byte()
        at += 1
      }
    case 6:
      let base = try reader.byte()
      let others = try reader.count(out.count)
      let bits = try reader.bytes((out.count + 7) / 8)
      let packed = try reader.bytes((others + 3) / 4)
      let spare = spare.room(UInt8.self, others)
      arpo_plane_unpack2(packed, others, base &+ 1, spare)
      guard arpo_plane_unpack1(bits, out.count, base, spare, others, out.baseAddress) == others else {
        throw ColumnError("the others of a plane of bits do not add up")
      }
    case let tag: throw ColumnError("unknown plane \(tag)")
    }
  }
}
