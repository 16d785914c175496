/// Text in pieces, tokenised as one: a token belongs to the piece in which its first byte stands.
public struct PiecewiseTokens: Sendable, Equatable {
  /// By piece.
  public var ids: [[Int32]]

  /// Tokenises neighbouring pieces of text.
  ///
  /// A piece inside which no token begins gets none. Where normalisation changes the text, pieces are tokenised each for
  /// itself, since their ends are not known in the changed text.
  public init(_ pieces: [String], _ encoder: inout TokenEncoder, _ tokenizer: Tokenizer) {
    let whole = pieces.joined()
    let all = encoder.encode(whole)
    let lengths = all.map { tokenizer.byteCount(of: $0) }
    guard pieces.count > 1 else {
      ids = pieces.isEmpty ? [] : [all]
      return
    }
    guard lengths.reduce(0, +) == whole.utf8.count else {
      ids = pieces.map { encoder.encode($0) }
      return
    }
    ids = pieces.map { _ in [] }
    var piece = 0
    var end = pieces[0].utf8.count
    var at = 0
    for (id, length) in zip(all, lengths) {
      while at >= end, piece + 1 < pieces.count {
        piece += 1
        end += pieces[piece].utf8.count
      }
      ids[piece].append(id)
      at += length
    }
  }
}

extension Tokenizer {
  /// Number of bytes that a token stands for.
  func byteCount(of id: Int32) -> Int { vocabulary.bytes(of: id).count }

  /// Which of some sampled tokens come out again at their place when their text is tokenised.
  ///
  /// - Returns: by token; `nil` if some id is not in the vocabulary, or the tokens' bytes are no valid text, as when a
  ///   character was cut in two.
  public func reproduced(_ ids: [Int32], _ encoder: inout TokenEncoder) -> [Bool]? {
    guard ids.allSatisfy(contains) else { return nil }
    let bytes = ids.flatMap { vocabulary.bytes(of: $0) }
    guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
    let again = encoder.encode(text)
    var out = [Bool](repeating: false, count: ids.count)
    var (k, at, place) = (0, 0, 0)
    for (i, id) in ids.enumerated() {
      while k < again.count, at < place {
        at += byteCount(of: again[k])
        k += 1
      }
      out[i] = k < again.count && at == place && again[k] == id
      place += byteCount(of: id)
    }
    return out
  }
}
