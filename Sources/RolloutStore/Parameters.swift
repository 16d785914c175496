import Foundation
import GRDBSQLite

/// The parameters of a statement: each call binds the next one.
struct Parameters {
  private let handle: OpaquePointer
  private var index: Int32 = 0
  /// Why SQLite did not take one of them, such as a text above its limit: it counts as NULL then.
  private(set) var failure = SQLITE_OK

  init(_ handle: OpaquePointer) { self.handle = handle }

  mutating func bind(_ value: Int64?) {
    index += 1
    note(value.map { sqlite3_bind_int64(handle, index, $0) } ?? sqlite3_bind_null(handle, index))
  }

  mutating func bind(_ value: Int?) { bind(value.map(Int64.init)) }

  mutating func bind(_ value: Double?) {
    index += 1
    note(value.map { sqlite3_bind_double(handle, index, $0) } ?? sqlite3_bind_null(handle, index))
  }

  /// A text as it can be stored.
  mutating func bind(_ value: String?) {
    index += 1
    guard var value else { return note(sqlite3_bind_null(handle, index)) }
    let index = index
    let handle = handle
    func store(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
      let start = UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
      // The statement is kept until the text is copied.
      return sqlite3_bind_text64(handle, index, start, UInt64(bytes.count), Self.copied, UInt8(SQLITE_UTF8))
    }
    let whole: Int32? = value.withUTF8 { bytes in
      guard let base = bytes.baseAddress, bytes.count > 0 else { return nil }
      return memchr(base, 0, bytes.count) == nil ? store(bytes) : nil
    }
    if let whole { return note(whole) }
    value = value.withoutZeros
    note(value.isEmpty ? sqlite3_bind_text(handle, index, "", 0, Self.copied) : value.withUTF8 { store($0) })
  }

  /// Bytes that stay where they are until the statement has run.
  mutating func bind(lasting bytes: UnsafeRawBufferPointer?) {
    index += 1
    note(
      bytes.map { sqlite3_bind_blob64(handle, index, $0.baseAddress, UInt64($0.count), nil) }
        ?? sqlite3_bind_null(handle, index))
  }

  private mutating func note(_ code: Int32) {
    if failure == SQLITE_OK { failure = code }
  }

  /// SQLite's sign that it must copy what it is given.
  private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
}
