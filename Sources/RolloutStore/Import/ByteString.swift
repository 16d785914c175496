import Foundation

/// A text that is compared by its bytes, as the database compares it.
///
/// Swift's strings are equal if they look alike: é as one character and as two.
struct ByteString: Hashable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (a: Self, b: Self) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension String {
  /// The text as it can be stored: SQLite's texts end at a zero character, so the sign for it stands in its place.
  var withoutZeros: String {
    hasZeros ? String(String.UnicodeScalarView(unicodeScalars.map { $0 == "\0" ? "\u{2400}" : $0 })) : self
  }

  private var hasZeros: Bool {
    var text = self
    return text.withUTF8 { bytes in bytes.baseAddress.map { memchr($0, 0, bytes.count) != nil } ?? false }
  }
}
