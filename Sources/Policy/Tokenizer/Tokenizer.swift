/// A byte-level BPE tokenizer as Qwen2, Qwen3 and Llama 3 have it, read from `tokenizer.json`.
///
/// Encodes and decodes exactly as the reference library (`tokenizers`), with its Unicode data. Truncation and padding that
/// the file may set are not applied, as in transformers.
public final class Tokenizer: Sendable {
  let vocabulary: Vocabulary
  let merges: MergeTable
  let byteIDs: [Int32]
  let pattern: SplitPattern
  let normalizes: Bool
  /// A word that is in the vocabulary as a whole is not built from merges (Llama 3).
  let ignoresMerges: Bool
  let addedTokens: [AddedToken]
  let rawFinder: AddedTokenFinder
  let normalizedFinder: AddedTokenFinder
  private let specialIDs: Set<Int32>
  /// Tokens that the post-processor puts around a text.
  let prefix: [Int32]
  let suffix: [Int32]

  init(
    vocabulary: Vocabulary, merges: MergeTable, byteIDs: [Int32], pattern: SplitPattern, normalizes: Bool,
    ignoresMerges: Bool, addedTokens: [AddedToken], prefix: [Int32], suffix: [Int32]
  ) {
    self.vocabulary = vocabulary
    self.merges = merges
    self.byteIDs = byteIDs
    self.pattern = pattern
    self.normalizes = normalizes
    self.ignoresMerges = ignoresMerges
    self.addedTokens = addedTokens
    rawFinder = AddedTokenFinder(addedTokens.filter { !$0.isNormalized })
    normalizedFinder = AddedTokenFinder(
      addedTokens.filter(\.isNormalized).map { token in
        var token = token
        if normalizes {
          token.content =
            token.content.withUnsafeBufferPointer {
              CanonicalComposition.shared.normalized($0)
            } ?? token.content
        }
        return token
      })
    specialIDs = Set(addedTokens.filter(\.isSpecial).map(\.id))
    self.prefix = prefix
    self.suffix = suffix
  }

  /// One behind the highest id.
  public var vocabularySize: Int { vocabulary.size }

  /// Tokens that the post-processor puts before a text, such as Llama 3's `<|begin_of_text|>`.
  public var beginning: [Int32] { prefix }

  /// True if some token has the id.
  public func contains(_ id: Int32) -> Bool { vocabulary.contains(id) }

  /// The token ids of a text.
  /// - Parameter addingSpecialTokens: puts around the text what the post-processor says, such as a token that begins it.
  public func encode(_ text: String, addingSpecialTokens: Bool = false) -> [Int32] {
    var encoder = TokenEncoder(self)
    return encoder.encode(text, addingSpecialTokens: addingSpecialTokens)
  }

  /// The bytes that a token stands for, which need not be whole characters; empty if no token has the id.
  public func bytes(of id: Int32) -> [UInt8] { Array(vocabulary.bytes(of: id)) }

  /// The text of token ids; bytes that are no valid UTF-8 become U+FFFD.
  /// - Parameter skippingSpecialTokens: leaves out tokens that are marked special.
  /// - Throws: ``PolicyError`` with the code `mismatch` for an id that no token has.
  public func decode(_ ids: [Int32], skippingSpecialTokens: Bool = false) throws(PolicyError) -> String {
    var bytes: [UInt8] = []
    for (i, id) in ids.enumerated() {
      guard contains(id) else {
        throw PolicyError(.mismatch, "the id \(id) at \(i) is not in the vocabulary of \(vocabularySize) tokens")
      }
      if skippingSpecialTokens, specialIDs.contains(id) { continue }
      bytes += vocabulary.bytes(of: id)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// True if the token is marked special.
  public func isSpecial(_ id: Int32) -> Bool { specialIDs.contains(id) }
}
