/// Finds the token that stands for some bytes, for logs that name tokens by their texts.
public struct TokenLookup: Sendable {
  private var ids: [[UInt8]: Int32] = [:]
  private var ambiguous: Set<[UInt8]> = []

  /// Lists the vocabulary of a tokenizer.
  public init(_ tokenizer: Tokenizer) {
    for id in 0..<Int32(tokenizer.vocabularySize) where tokenizer.contains(id) {
      let bytes = tokenizer.bytes(of: id)
      if ids.updateValue(id, forKey: bytes) != nil { ambiguous.insert(bytes) }
    }
  }

  /// The one token of these bytes; `nil` if there is none, or more than one.
  public func id(of bytes: [UInt8]) -> Int32? { ambiguous.contains(bytes) ? nil : ids[bytes] }
}
