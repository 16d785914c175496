/// What the tokenizer needs to know of a scalar, as bits.
struct ScalarClass: OptionSet, Sendable {
  let rawValue: UInt8

  static let letter = ScalarClass(rawValue: 1)
  static let number = ScalarClass(rawValue: 2)
  static let space = ScalarClass(rawValue: 4)
  /// CR and LF, which are spaces too.
  static let newline = ScalarClass(rawValue: 8)
  /// What `\w` matches.
  static let word = ScalarClass(rawValue: 16)
  /// May change under NFC, or change what is before it.
  static let composes = ScalarClass(rawValue: 32)
}

/// The classes of all scalars, in pages of 256 of which equal ones are kept once.
final class ScalarClasses: Sendable {
  static let shared = ScalarClasses()

  private let pages: [UInt16]
  private let classes: [UInt8]

  private init() {
    var all = [UInt8](repeating: 0, count: 0x110000)
    func mark(_ table: String, _ what: ScalarClass) {
      for word in table.split(whereSeparator: \.isWhitespace) {
        for value in Self.range(word) { all[value] |= what.rawValue }
      }
    }
    mark(UnicodeTables.letters, .letter)
    mark(UnicodeTables.numbers, .number)
    mark(UnicodeTables.spaces, .space)
    mark(UnicodeTables.words, .word)
    for newline in [0x0A, 0x0D] { all[newline] |= ScalarClass.newline.rawValue }
    for value in CanonicalComposition.shared.unsettled { all[Int(value)] |= ScalarClass.composes.rawValue }

    var known: [[UInt8]: UInt16] = [:]
    var pages: [UInt16] = []
    var classes: [UInt8] = []
    for start in stride(from: 0, to: all.count, by: 256) {
      let page = Array(all[start..<(start + 256)])
      if let number = known[page] {
        pages.append(number)
      } else {
        let number = UInt16(known.count)
        known[page] = number
        pages.append(number)
        classes += page
      }
    }
    self.pages = pages
    self.classes = classes
  }

  /// The values of `41` or `41-5A`, hexadecimal.
  static func range(_ text: some StringProtocol) -> ClosedRange<Int> {
    let ends = text.split(separator: "-").map { Int($0, radix: 16) ?? 0 }
    return ends[0]...(ends.count > 1 ? ends[1] : ends[0])
  }

  /// The class of a scalar below 0x110000.
  @inline(__always)
  func callAsFunction(_ scalar: UInt32) -> ScalarClass {
    ScalarClass(
      rawValue: classes[Int(pages[Int(truncatingIfNeeded: scalar >> 8)]) &* 256 &+ Int(scalar & 255)])
  }
}

/// Reading of scalars out of text that is known to be valid UTF-8.
struct ValidUTF8 {
  let base: UnsafePointer<UInt8>
  let count: Int

  /// The scalar at an offset where one begins, and the length of its bytes.
  @inline(__always)
  func scalar(at i: Int) -> (value: UInt32, length: Int) {
    let b0 = UInt32(base[i])
    if b0 < 0x80 { return (b0, 1) }
    let b1 = UInt32(base[i &+ 1] & 0x3F)
    if b0 < 0xE0 { return ((b0 & 0x1F) << 6 | b1, 2) }
    let b2 = UInt32(base[i &+ 2] & 0x3F)
    if b0 < 0xF0 { return ((b0 & 0x0F) << 12 | b1 << 6 | b2, 3) }
    return ((b0 & 0x07) << 18 | b1 << 12 | b2 << 6 | UInt32(base[i &+ 3] & 0x3F), 4)
  }

  /// Where the scalar begins that ends before `i`.
  @inline(__always)
  func start(before i: Int) -> Int {
    var at = i &- 1
    while at > 0, base[at] & 0xC0 == 0x80 { at &-= 1 }
    return at
  }
}
