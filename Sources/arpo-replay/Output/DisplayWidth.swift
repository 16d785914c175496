/// Columns that a terminal gives a scalar that is safe to show: 2 for East Asian wide ones and emoji, 0 for marks.
func displayWidth(of scalar: Unicode.Scalar) -> Int {
  let v = scalar.value
  if v < 0x300 { return 1 }
  let properties = scalar.properties
  switch properties.generalCategory {
  case .nonspacingMark, .enclosingMark: return 0
  default: break
  }
  // Vowels and finals of Hangul are drawn into the syllable before them.
  if (0x1160...0x11FF).contains(v) || (0xD7B0...0xD7FB).contains(v) { return 0 }
  if wideRanges.contains(where: { $0.contains(v) }) { return 2 }
  // Two regional indicators make one flag of two columns.
  if (0x1F1E6...0x1F1FF).contains(v) { return 1 }
  return properties.isEmojiPresentation ? 2 : 1
}

/// East Asian Width W and F, apart from emoji.
private let wideRanges: [ClosedRange<UInt32>] = [
  0x1100...0x115F, 0x2329...0x232A, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0xA4CF,
  0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF01...0xFF60,
  0xFFE0...0xFFE6, 0x16FE0...0x18DFF, 0x1AFF0...0x1B2FF, 0x1F200...0x1F265, 0x20000...0x3FFFD,
]

/// Columns of one character.
func displayWidth(of character: Character) -> Int {
  var width = 0
  for scalar in character.unicodeScalars {
    // A skin tone colours the emoji before it.
    if width > 0, scalar.properties.isEmojiModifier { continue }
    width += displayWidth(of: scalar)
  }
  return width
}

/// Columns of a text that is safe to show.
func displayWidth(of text: String) -> Int {
  text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.reduce(0) { $0 + displayWidth(of: $1) }
}

extension TerminalTraits {
  /// A safe text cut to some columns, with a mark where something is missing.
  /// - Parameter keepsEnd: cuts its beginning off.
  func cut(_ text: String, to width: Int, keepsEnd: Bool = false) -> String {
    if displayWidth(of: text) <= width { return text }
    let mark = rangeMark
    let room = width - mark.count
    if room < 0 { return String(repeating: ".", count: max(width, 0)) }
    var out: [Character] = []
    var used = 0
    for character in keepsEnd ? text.reversed() : Array(text) {
      let columns = displayWidth(of: character)
      if used + columns > room { break }
      out.append(character)
      used += columns
    }
    return keepsEnd ? mark + String(out.reversed()) : String(out) + mark
  }
}

/// A safe text filled up with spaces.
func padded(_ text: String, to width: Int, right: Bool = false) -> String {
  let spaces = String(repeating: " ", count: max(0, width - displayWidth(of: text)))
  return right ? spaces + text : text + spaces
}
