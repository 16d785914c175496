/// Encodes one text after another, remembering the words that it has seen.
public struct TokenEncoder {
  private let tokenizer: Tokenizer
  private var merger = WordMerger()
  private var cache = WordCache()

  public init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  /// The token ids of a text.
  /// - Parameter addingSpecialTokens: puts around the text what the post-processor says.
  public mutating func encode(_ text: String, addingSpecialTokens: Bool = false) -> [Int32] {
    var out = addingSpecialTokens ? tokenizer.prefix : []
    var text = text
    text.withUTF8 { encode($0, into: &out) }
    if addingSpecialTokens { out += tokenizer.suffix }
    return out
  }

  // The text is valid UTF-8: it comes out of a String.
  private mutating func encode(_ text: UnsafeBufferPointer<UInt8>, into out: inout [Int32]) {
    guard let base = text.baseAddress else { return }
    let classes = ScalarClasses.shared
    for part in tokenizer.rawFinder.parts(of: ValidUTF8(base: base, count: text.count), classes) {
      switch part {
      case .token(let id): out.append(id)
      case .text(let range):
        let piece = UnsafeBufferPointer(rebasing: text[range])
        if tokenizer.normalizes, let normalized = CanonicalComposition.shared.normalized(piece) {
          normalized.withUnsafeBufferPointer { encodeNormalized($0, classes, into: &out) }
        } else {
          encodeNormalized(piece, classes, into: &out)
        }
      }
    }
  }

  private mutating func encodeNormalized(
    _ text: UnsafeBufferPointer<UInt8>, _ classes: ScalarClasses, into out: inout [Int32]
  ) {
    guard let base = text.baseAddress else { return }
    for part in tokenizer.normalizedFinder.parts(of: ValidUTF8(base: base, count: text.count), classes) {
      switch part {
      case .token(let id): out.append(id)
      case .text(let range):
        let utf8 = ValidUTF8(base: base + range.lowerBound, count: range.count)
        var at = 0
        while at < utf8.count {
          let end = tokenizer.pattern.end(of: at, in: utf8, classes)
          encodeWord(UnsafeBufferPointer(start: utf8.base + at, count: end &- at), into: &out)
          at = end
        }
      }
    }
  }

  @inline(__always)
  private mutating func encodeWord(_ word: UnsafeBufferPointer<UInt8>, into out: inout [Int32]) {
    let hash = ByteHash.hash(word)
    if cache.find(word, hash, into: &out) { return }
    let start = out.count
    if tokenizer.ignoresMerges, let id = tokenizer.vocabulary.id(of: word) {
      out.append(id)
    } else {
      merger.merge(word, tokenizer.merges, byteIDs: tokenizer.byteIDs, into: &out)
    }
    cache.keep(word, hash, out[start...])
  }
}
