/// Finds where JSON values begin and end, without reading what they say.
///
/// Keeps its place, so that a value may arrive in pieces.
struct DocumentScanner {
  enum Step: Equatable {
    case value(Range<Int>)
    /// The bytes end inside a value that began at this offset, or between values (then the offset is the end).
    case more(from: Int)
    /// A byte that cannot stand between values.
    case bad(Int)
    /// The bracket that closes the array whose elements are read.
    case closed(Int)
  }

  /// Where the next byte to look at is.
  var offset = 0
  /// Where the value began; below zero if its beginning was dropped.
  private var start = Self.nowhere
  private var depth = 0
  private var inString = false
  private var escaped = false
  private var inScalar = false
  private static let nowhere = Int.min

  /// A value has begun and not ended.
  var isInsideValue: Bool { start != Self.nowhere }

  /// Forgets `n` bytes at the front of the buffer.
  mutating func drop(_ n: Int) {
    offset -= n
    if start != Self.nowhere { start -= n }
  }

  /// The next value in the bytes.
  ///
  /// Commas count as white space between the elements of an array.
  mutating func next(in bytes: UnsafeRawBufferPointer, elements: Bool) -> Step {
    while offset < bytes.count {
      let b = bytes[offset]
      if start == Self.nowhere {
        switch b {
        case 0x20, 0x0A, 0x0D, 0x09: offset += 1
        case UInt8(ascii: ",") where elements: offset += 1
        case UInt8(ascii: "]") where elements:
          offset += 1
          return .closed(offset)
        case UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: ","), UInt8(ascii: ":"): return .bad(offset)
        default: start = offset
        }
        if start == Self.nowhere { continue }
      }
      if inString {
        if escaped {
          escaped = false
        } else if b == UInt8(ascii: "\\") {
          escaped = true
        } else if b == UInt8(ascii: "\"") {
          inString = false
        }
        offset += 1
        if !inString, depth == 0 { return finish() }
        continue
      }
      switch b {
      case UInt8(ascii: "\""):
        if inScalar { return finish() }
        inString = true
        offset += 1
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        if inScalar { return finish() }
        depth += 1
        offset += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if inScalar { return finish() }
        depth -= 1
        offset += 1
        if depth == 0 { return finish() }
      case 0x20, 0x0A, 0x0D, 0x09, UInt8(ascii: ","):
        if inScalar { return finish() }
        offset += 1
      default:
        if depth == 0 { inScalar = true }
        offset += 1
      }
    }
    return .more(from: start == Self.nowhere ? offset : max(0, start))
  }

  /// How many bytes at the front, the first of which is one, cannot stand between values; white space between them counts.
  static func strayBytes(in bytes: UnsafeRawBufferPointer, elements: Bool) -> Int {
    var end = 1
    for (i, b) in bytes.enumerated().dropFirst() {
      switch b {
      case 0x20, 0x0A, 0x0D, 0x09: continue
      case UInt8(ascii: "}"), UInt8(ascii: ":"): end = i + 1
      case UInt8(ascii: "]"), UInt8(ascii: ","):
        if elements { return end }
        end = i + 1
      default: return end
      }
    }
    return end
  }

  /// The value that is being read ends with the bytes.
  mutating func finishAtEnd(_ count: Int) -> Range<Int>? {
    guard start != Self.nowhere else { return nil }
    offset = count
    guard case .value(let range) = finish() else { return nil }
    return range
  }

  private mutating func finish() -> Step {
    let range = start..<offset
    self = DocumentScanner(offset: offset)
    return .value(range)
  }

  init(offset: Int = 0) { self.offset = offset }
}
