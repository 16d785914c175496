/// The regular expression that cuts text into words before byte pairs are merged, matched by hand.
///
/// Two are known, alike but for the length of a run of digits:
///
///     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
///
/// is Qwen's; Llama 3 has `\p{N}{1,3}`. Every scalar matches some part, so the words cover the text.
struct SplitPattern: Sendable, Equatable {
  /// Digits that may stand together in a word: 1 or 3.
  let digits: Int

  private static let before = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"#
  private static let behind = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// The pattern with this text; `nil` if it is another.
  init?(_ text: String) {
    switch text {
    case Self.before + #"\p{N}"# + Self.behind: digits = 1
    case Self.before + #"\p{N}{1,3}"# + Self.behind: digits = 3
    default: return nil
    }
  }

  /// Where the word ends that begins at `start`.
  ///
  /// What follows the text's end counts as nothing, as for a look-ahead.
  @inline(__always)
  func end(of start: Int, in text: ValidUTF8, _ classes: ScalarClasses) -> Int {
    let (first, length) = text.scalar(at: start)
    let kind = classes(first)
    if first == 0x27, let end = contraction(at: start, in: text) { return end }
    if kind.contains(.letter) { return run(of: .letter, from: start &+ length, in: text, classes) }
    if kind.isDisjoint(with: [.number, .newline]), start &+ length < text.count {
      let (second, size) = text.scalar(at: start &+ length)
      if classes(second).contains(.letter) {
        return run(of: .letter, from: start &+ length &+ size, in: text, classes)
      }
    }
    if kind.contains(.number) {
      var end = start &+ length
      var taken = 1
      while taken < digits, end < text.count {
        let (next, size) = text.scalar(at: end)
        guard classes(next).contains(.number) else { break }
        end &+= size
        taken &+= 1
      }
      return end
    }
    let body = first == 0x20 ? start &+ 1 : start
    if body < text.count {
      var end = body
      while end < text.count {
        let (next, size) = text.scalar(at: end)
        guard classes(next).isDisjoint(with: [.space, .letter, .number]) else { break }
        end &+= size
      }
      if end > body {
        while end < text.count, text.base[end] == 0x0A || text.base[end] == 0x0D { end &+= 1 }
        return end
      }
    }
    return spaces(from: start, in: text, classes)
  }

  @inline(__always)
  private func run(of kind: ScalarClass, from start: Int, in text: ValidUTF8, _ classes: ScalarClasses) -> Int {
    var end = start
    while end < text.count {
      let (next, size) = text.scalar(at: end)
      guard classes(next).contains(kind) else { break }
      end &+= size
    }
    return end
  }

  // A run of spaces: up to its last line break if it has one; whole at the end of the text; else without its last scalar,
  // which goes to the next word, unless it is the only one.
  private func spaces(from start: Int, in text: ValidUTF8, _ classes: ScalarClasses) -> Int {
    var end = start
    var last = start
    var behindBreak = start
    while end < text.count {
      let (next, size) = text.scalar(at: end)
      let kind = classes(next)
      guard kind.contains(.space) else { break }
      last = end
      end &+= size
      if kind.contains(.newline) { behindBreak = end }
    }
    if behindBreak > start { return behindBreak }
    return end == text.count || last == start ? end : last
  }

  // 's 't 're 've 'm 'll 'd in any case; U+017F folds to s.
  private func contraction(at start: Int, in text: ValidUTF8) -> Int? {
    let at = start &+ 1
    guard at < text.count else { return nil }
    let first = text.base[at]
    let second = at &+ 1 < text.count ? text.base[at &+ 1] : 0
    switch first | 0x20 {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return at &+ 1
    case UInt8(ascii: "r"), UInt8(ascii: "v"): return second | 0x20 == UInt8(ascii: "e") ? at &+ 2 : nil
    case UInt8(ascii: "l"): return second | 0x20 == UInt8(ascii: "l") ? at &+ 2 : nil
    default: return first == 0xC5 && second == 0xBF ? at &+ 2 : nil
    }
  }
}
