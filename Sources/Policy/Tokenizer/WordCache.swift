/// Tokens of words that were merged before.
///
/// One place for each hash: a newer word takes the place of an older.
struct WordCache {
  private static let longestWord = 40
  private static let slotCount = 1 << 15
  /// When so many bytes of words are kept, the cache begins anew.
  private static let maxBytes = 1 << 22

  private struct Slot {
    var hash: UInt64 = 0
    var word: Int32 = 0
    var wordCount: Int32 = -1
    var tokens: Int32 = 0
    var tokenCount: Int32 = 0
  }

  private var slots: [Slot] = []
  private var words: [UInt8] = []
  private var tokens: [Int32] = []

  /// Appends the tokens of a known word; `false` if it is not known.
  @inline(__always)
  func find(_ word: UnsafeBufferPointer<UInt8>, _ hash: UInt64, into out: inout [Int32]) -> Bool {
    guard !slots.isEmpty else { return false }
    let slot = slots[Int(truncatingIfNeeded: hash) & (Self.slotCount &- 1)]
    guard slot.hash == hash, Int(slot.wordCount) == word.count else { return false }
    let begin = Int(slot.word)
    for i in 0..<word.count where words[begin &+ i] != word[i] { return false }
    for i in 0..<Int(slot.tokenCount) { out.append(tokens[Int(slot.tokens) &+ i]) }
    return true
  }

  /// Keeps the tokens of a word.
  mutating func keep(_ word: UnsafeBufferPointer<UInt8>, _ hash: UInt64, _ ids: ArraySlice<Int32>) {
    guard word.count <= Self.longestWord else { return }
    if slots.isEmpty || words.count > Self.maxBytes {
      slots = [Slot](repeating: Slot(), count: Self.slotCount)
      words.removeAll(keepingCapacity: true)
      tokens.removeAll(keepingCapacity: true)
    }
    slots[Int(truncatingIfNeeded: hash) & (Self.slotCount &- 1)] = Slot(
      hash: hash, word: Int32(words.count), wordCount: Int32(word.count), tokens: Int32(tokens.count),
      tokenCount: Int32(ids.count))
    words.append(contentsOf: word)
    tokens.append(contentsOf: ids)
  }
}
