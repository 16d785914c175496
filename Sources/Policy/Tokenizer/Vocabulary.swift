/// Byte strings by id and ids by byte string.
struct Vocabulary: Sendable {
  /// One behind the highest id.
  let size: Int
  private let arena: [UInt8]
  private let ends: [Int]
  private let isUsed: [Bool]
  /// Open addressing over the entries that words are looked up among; -1 is an empty slot.
  private var slots: [Int32]
  private var mask: Int

  /// - Parameter entries: the bytes of each id; `nil` where no token has the id.
  /// - Parameter findable: which ids words can be looked up as; of equal byte strings the last one is found.
  init(entries: [[UInt8]?], findable: (Int) -> Bool) {
    size = entries.count
    var arena: [UInt8] = []
    var ends: [Int] = []
    for entry in entries {
      arena += entry ?? []
      ends.append(arena.count)
    }
    self.arena = arena
    self.ends = ends
    isUsed = entries.map { $0 != nil }
    var capacity = 16
    while capacity < 2 * entries.count { capacity *= 2 }
    slots = [Int32](repeating: -1, count: capacity)
    mask = capacity - 1
    for (id, entry) in entries.enumerated() {
      guard let entry, findable(id) else { continue }
      entry.withUnsafeBufferPointer { slots[slot(of: $0)] = Int32(id) }
    }
  }

  func contains(_ id: Int32) -> Bool { id >= 0 && id < size && isUsed[Int(id)] }

  /// The bytes of a token; empty for an id that is not used.
  func bytes(of id: Int32) -> ArraySlice<UInt8> {
    guard contains(id) else { return [] }
    return arena[(id == 0 ? 0 : ends[Int(id) - 1])..<ends[Int(id)]]
  }

  /// The id of a byte string.
  func id(of bytes: UnsafeBufferPointer<UInt8>) -> Int32? {
    let id = slots[slot(of: bytes)]
    return id < 0 ? nil : id
  }

  private func slot(of bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var i = Int(truncatingIfNeeded: ByteHash.hash(bytes)) & mask
    while slots[i] >= 0, !self.bytes(of: slots[i]).elementsEqual(bytes) { i = (i &+ 1) & mask }
    return i
  }
}

/// A hash of short byte strings.
enum ByteHash {
  @inline(__always)
  static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
    guard let base = bytes.baseAddress else { return 0 }
    let raw = UnsafeRawPointer(base)
    var h = UInt64(truncatingIfNeeded: bytes.count) &* 0x9E37_79B9_7F4A_7C15
    var i = 0
    while i &+ 8 <= bytes.count {
      h = mix(h ^ raw.loadUnaligned(fromByteOffset: i, as: UInt64.self))
      i &+= 8
    }
    var rest: UInt64 = 0
    while i < bytes.count {
      rest = rest << 8 | UInt64(base[i])
      i &+= 1
    }
    return mix(h ^ rest)
  }

  @inline(__always)
  static func mix(_ x: UInt64) -> UInt64 {
    let product = x.multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
    return product.high ^ product.low
  }
}
