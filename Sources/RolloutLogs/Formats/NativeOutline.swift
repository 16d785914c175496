import CKernels
import Foundation
import Rollouts

/// Where the arrays of a native trajectory record stand in its bytes.
struct NativeOutline: Sendable {
  /// The arrays that say something about each token.
  enum Column: Int, CaseIterable {
    case tokenIDs, lossMask, logprobs, entropies, topCounts, topTokenIDs, topLogprobs
  }

  /// By column: the bytes behind the opening bracket, up to and with the closing one.
  private var ranges = [Range<Int>?](repeating: nil, count: Column.allCases.count)
  /// If the record has them.
  private(set) var segments: [Segment]?

  /// The outline of a record whose arrays begin at the first token of the path; `nil` for other records and for bytes
  /// that are no record.
  init?(of bytes: UnsafeBufferPointer<UInt8>) {
    var cursor = JSONCursor(bytes)
    do throws(RecordError) {
      guard try read(&cursor) else { return nil }
    } catch { return nil }
  }

  subscript(column: Column) -> Range<Int>? { ranges[column.rawValue] }

  private mutating func read(_ cursor: inout JSONCursor) throws(RecordError) -> Bool {
    var isRoot = true
    var isFull = false
    guard cursor.take(UInt8(ascii: "{")) else { return false }
    var first = true
    var names: Set<String> = []
    while let key = try cursor.nextKey(first: &first) {
      // Of a key that comes again the first one counts.
      let isFirst = names.insert(cursor.text(key.start..<key.end)).inserted
      if cursor.takeNull() { continue }
      if !isFirst {
        _ = try cursor.skipValue()
        continue
      }
      if cursor.bytes(key, equal: "token_ids") {
        try note(.tokenIDs, &cursor)
      } else if cursor.bytes(key, equal: "loss_mask") {
        try note(.lossMask, &cursor)
      } else if cursor.bytes(key, equal: "logprobs") {
        try note(.logprobs, &cursor)
      } else if cursor.bytes(key, equal: "entropies") {
        try note(.entropies, &cursor)
      } else if cursor.bytes(key, equal: "top_logprobs") {
        try readTop(&cursor)
      } else if cursor.bytes(key, equal: "segments") {
        segments = NativeSegments.inRange(try cursor.value())
      } else if cursor.bytes(key, equal: "parent_id") {
        isRoot = false
        _ = try cursor.skipValue()
      } else if cursor.bytes(key, equal: "prefix") {
        isFull = try cursor.string() == "full"
      } else {
        _ = try cursor.skipValue()
      }
    }
    return isRoot || isFull
  }

  private mutating func readTop(_ cursor: inout JSONCursor) throws(RecordError) {
    guard cursor.take(UInt8(ascii: "{")) else { throw cursor.fail("no object") }
    var first = true
    while let key = try cursor.nextKey(first: &first) {
      if cursor.bytes(key, equal: "counts") {
        try note(.topCounts, &cursor)
      } else if cursor.bytes(key, equal: "token_ids") {
        try note(.topTokenIDs, &cursor)
      } else if cursor.bytes(key, equal: "logprobs") {
        try note(.topLogprobs, &cursor)
      } else {
        _ = try cursor.skipValue()
      }
    }
  }

  /// Arrays of numbers hold no other bracket, so the next one ends them.
  private mutating func note(_ column: Column, _ cursor: inout JSONCursor) throws(RecordError) {
    guard cursor.take(UInt8(ascii: "[")) else { throw cursor.fail("no array") }
    guard let found = memchr(cursor.base + cursor.at, Int32(UInt8(ascii: "]")), cursor.end - cursor.at) else {
      throw cursor.fail("no end")
    }
    let end = UnsafeRawPointer(cursor.base).distance(to: UnsafeRawPointer(found)) + 1
    if ranges[column.rawValue] == nil { ranges[column.rawValue] = cursor.at..<end }
    cursor.move(to: end)
  }

  // MARK: Identity

  /// The key of a record's trajectory, which its first members name; `nil` if they do not.
  static func key(of bytes: UnsafeBufferPointer<UInt8>) -> UInt64? {
    var cursor = JSONCursor(bytes)
    do throws(RecordError) {
      guard cursor.take(UInt8(ascii: "{")) else { return nil }
      var first = true
      while let key = try cursor.nextKey(first: &first) {
        if cursor.bytes(key, equal: "trajectory_id") {
          let id = try cursor.stringBytes()
          return id.hasEscapes ? nil : hash(UnsafeBufferPointer(rebasing: bytes[id.start..<id.end]))
        }
        if cursor.peek() == UInt8(ascii: "[") { return nil }
        _ = try cursor.skipValue()
      }
    } catch { return nil }
    return nil
  }

  static func hash(_ id: UnsafeBufferPointer<UInt8>) -> UInt64 { arpo_hash(id.baseAddress, id.count, 0) }
}
