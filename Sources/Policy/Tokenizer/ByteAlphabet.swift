/// The printable scalars that stand for bytes in the vocabulary of a byte-level tokenizer (GPT-2's `bytes_to_unicode`).
enum ByteAlphabet {
  /// The scalar of each byte: printable Latin-1 as itself, the others from U+0100 on, in order.
  static let scalars: [UInt32] = {
    var out: [UInt32] = []
    var next: UInt32 = 0x100
    for byte in UInt32(0)..<256 {
      if (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte) {
        out.append(byte)
      } else {
        out.append(next)
        next += 1
      }
    }
    return out
  }()

  private static let bytes: [UInt16] = {
    var out = [UInt16](repeating: .max, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { out[Int(scalar)] = UInt16(byte) }
    return out
  }()

  /// The bytes that a vocabulary entry stands for; `nil` if it holds a scalar outside the alphabet.
  static func bytes(of token: String) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(token.utf8.count)
    for scalar in token.unicodeScalars {
      guard scalar.value < bytes.count, bytes[Int(scalar.value)] < 256 else { return nil }
      out.append(UInt8(bytes[Int(scalar.value)]))
    }
    return out
  }
}
