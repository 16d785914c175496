/// Unicode normalisation form C (UAX #15) with the data of the reference library.
final class CanonicalComposition: Sendable {
  static let shared = CanonicalComposition()

  /// One-step decompositions; the second is 0 for a single scalar.
  private let steps: [UInt32: (UInt32, UInt32)]
  private let compositions: [UInt64: UInt32]
  private let combiningClasses: [UInt32: UInt8]
  /// Scalars that NFC replaces, moves, or joins to what is before them.
  ///
  /// Text without any is in NFC.
  let unsettled: Set<UInt32>

  private init() {
    var steps: [UInt32: (UInt32, UInt32)] = [:]
    var compositions: [UInt64: UInt32] = [:]
    var combiningClasses: [UInt32: UInt8] = [:]
    var unsettled: Set<UInt32> = []
    for word in UnicodeTables.combiningClasses.split(whereSeparator: \.isWhitespace) {
      let parts = word.split(separator: ":")
      for value in ScalarClasses.range(parts[1]) {
        combiningClasses[UInt32(value)] = UInt8(parts[0]) ?? 0
        unsettled.insert(UInt32(value))
      }
    }
    for word in UnicodeTables.decompositions.split(whereSeparator: \.isWhitespace) {
      let isExcluded = word.hasSuffix("!")
      let sides = word.split(whereSeparator: { "=+!".contains($0) }).map { UInt32($0, radix: 16) ?? 0 }
      steps[sides[0]] = (sides[1], sides.count > 2 ? sides[2] : 0)
      if sides.count > 2, !isExcluded {
        compositions[Self.pair(sides[1], sides[2])] = sides[0]
        unsettled.insert(sides[2])
      } else {
        unsettled.insert(sides[0])
      }
    }
    unsettled.formUnion(Hangul.vowels)
    unsettled.formUnion(Hangul.trailing)
    self.steps = steps
    self.compositions = compositions
    self.combiningClasses = combiningClasses
    self.unsettled = unsettled
  }

  private enum Hangul {
    static let leading: ClosedRange<UInt32> = 0x1100...0x1112
    static let vowels: ClosedRange<UInt32> = 0x1161...0x1175
    static let trailing: ClosedRange<UInt32> = 0x11A8...0x11C2
    static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
  }

  private static func pair(_ first: UInt32, _ second: UInt32) -> UInt64 { UInt64(first) << 32 | UInt64(second) }

  private func combiningClass(_ scalar: UInt32) -> UInt8 { scalar < 0x300 ? 0 : combiningClasses[scalar] ?? 0 }

  /// Text in NFC; `nil` if it already is, as far as a look at each scalar tells.
  ///
  /// Only the stretches around scalars that may change are decomposed and composed again.
  func normalized(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    guard let base = text.baseAddress else { return nil }
    let classes = ScalarClasses.shared
    let utf8 = ValidUTF8(base: base, count: text.count)
    var out: [UInt8] = []
    var changes = false
    var copied = 0
    // The last scalar that nothing behind it can move: where a stretch begins.
    var anchor = 0
    var at = 0
    while at < text.count {
      if base[at] < 0x80 {
        anchor = at
        at &+= 1
        continue
      }
      let (scalar, length) = utf8.scalar(at: at)
      guard classes(scalar).contains(.composes) else {
        anchor = at
        at &+= length
        continue
      }
      var end = at &+ length
      while end < text.count, base[end] >= 0x80 {
        let (next, size) = utf8.scalar(at: end)
        guard classes(next).contains(.composes) else { break }
        end &+= size
      }
      var stretch: [UInt32] = []
      var i = anchor
      while i < end {
        let (value, size) = utf8.scalar(at: i)
        stretch.append(value)
        i &+= size
      }
      if !changes { out.reserveCapacity(text.count) }
      changes = true
      out.append(contentsOf: text[copied..<anchor])
      for value in composed(stretch) { Self.append(value, to: &out) }
      copied = end
      anchor = end
      at = end
    }
    guard changes else { return nil }
    out.append(contentsOf: text[copied...])
    return out
  }

  /// One stretch: decomposed, put in canonical order, composed.
  private func composed(_ scalars: [UInt32]) -> [UInt32] {
    var parts: [(scalar: UInt32, order: UInt8)] = []
    for scalar in scalars { decompose(scalar, into: &parts) }
    var i = 0
    while i < parts.count {
      var end = i
      while end < parts.count, parts[end].order != 0 { end += 1 }
      if end - i > 1 {
        // `sort` is not promised to be stable; the place decides among equals.
        let marks = parts[i..<end].enumerated().sorted {
          ($0.element.order, $0.offset) < ($1.element.order, $1.offset)
        }
        for (k, mark) in marks.enumerated() { parts[i + k] = mark.element }
      }
      i = max(end, i + 1)
    }
    var out: [UInt32] = []
    var starter: Int?
    // The class of the last mark that stays behind the starter; marks of that class or above are blocked.
    var last: UInt8?
    for part in parts {
      if let s = starter, last == nil || (last ?? 0) < part.order, let joined = join(out[s], part.scalar) {
        out[s] = joined
        continue
      }
      out.append(part.scalar)
      if part.order == 0 {
        starter = out.count - 1
        last = nil
      } else {
        last = part.order
      }
    }
    return out
  }

  private func decompose(_ scalar: UInt32, into out: inout [(scalar: UInt32, order: UInt8)]) {
    if Hangul.syllables.contains(scalar) {
      let index = scalar - Hangul.syllables.lowerBound
      out.append((Hangul.leading.lowerBound + index / 588, 0))
      out.append((Hangul.vowels.lowerBound + index % 588 / 28, 0))
      if index % 28 != 0 { out.append((Hangul.trailing.lowerBound - 1 + index % 28, 0)) }
    } else if let (first, second) = steps[scalar] {
      decompose(first, into: &out)
      if second != 0 { decompose(second, into: &out) }
    } else {
      out.append((scalar, combiningClass(scalar)))
    }
  }

  private func join(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if Hangul.leading.contains(first), Hangul.vowels.contains(second) {
      return Hangul.syllables.lowerBound
        + ((first - Hangul.leading.lowerBound) * 21 + second - Hangul.vowels.lowerBound) * 28
    }
    if Hangul.syllables.contains(first), (first - Hangul.syllables.lowerBound) % 28 == 0,
      Hangul.trailing.contains(second)
    {
      return first + second - (Hangul.trailing.lowerBound - 1)
    }
    return compositions[Self.pair(first, second)]
  }

  private static func append(_ scalar: UInt32, to out: inout [UInt8]) {
    if let unicode = Unicode.Scalar(scalar) { out.append(contentsOf: UTF8.encode(unicode) ?? .init()) }
  }
}
