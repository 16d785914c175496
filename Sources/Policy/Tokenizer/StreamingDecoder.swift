/// Turns tokens into text one by one, for display: bytes that may still become a character are held back.
///
/// All texts joined, `finish` included, are what ``Tokenizer/decode(_:skippingSpecialTokens:)`` gives for all ids.
public struct StreamingDecoder {
  private let tokenizer: Tokenizer
  private let skipsSpecialTokens: Bool
  private var held: [UInt8] = []

  public init(_ tokenizer: Tokenizer, skippingSpecialTokens: Bool = false) {
    self.tokenizer = tokenizer
    skipsSpecialTokens = skippingSpecialTokens
  }

  /// The text that has become certain with one more token; may be empty.
  /// - Throws: ``PolicyError`` with the code `mismatch` for an id that no token has.
  public mutating func append(_ id: Int32) throws(PolicyError) -> String {
    guard tokenizer.contains(id) else {
      throw PolicyError(.mismatch, "the id \(id) is not in the vocabulary of \(tokenizer.vocabularySize) tokens")
    }
    if skipsSpecialTokens, tokenizer.isSpecial(id) { return "" }
    held += tokenizer.vocabulary.bytes(of: id)
    let certain = held.count - Self.openBytes(at: held)
    let text = String(decoding: held[..<certain], as: UTF8.self)
    held.removeFirst(certain)
    return text
  }

  /// What was held back: U+FFFD if the last character is not complete.
  public mutating func finish() -> String {
    defer { held.removeAll() }
    return String(decoding: held, as: UTF8.self)
  }

  /// How many bytes at the end are the beginning of a character that is not complete: 0 to 3.
  static func openBytes(at bytes: [UInt8]) -> Int {
    for back in 1...3 where back <= bytes.count {
      let lead = bytes[bytes.count - back]
      if lead & 0xC0 == 0x80 { continue }
      let length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1
      guard lead <= 0xF4, length > back else { return 0 }
      // The second byte has a narrower range behind some leads (Unicode 15, table 3-7); outside it nothing is open.
      if back >= 2 {
        let second = bytes[bytes.count - back + 1]
        let lowest: UInt8 = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80
        let highest: UInt8 = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF
        guard (lowest...highest).contains(second) else { return 0 }
      }
      return back
    }
    return 0
  }
}
