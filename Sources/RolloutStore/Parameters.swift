import Foundation
import GRDBSQLite

/// The parameters of a statement: each call binds the next one.
struct Parameters {
  private let handle: OpaquePointer
  private var index: Int32 = 0

  init(_ handle: OpaquePointer) { self.handle = handle }

  mutating func bind(_ value: Int64?) {
    index += 1
    if let value { sqlite3_bind_int64(handle, index, value) } else { sqlite3_bind_null(handle, index) }
  }

  mutating func bind(_ value: Int?) { bind(value.map(Int64.init)) }

  mutating func bind(_ value: Double?) {
    index += 1
    if let value { sqlite3_bind_double(handle, index, value) } else { sqlite3_bind_null(handle, index) }
  }

  /// A text as it can be stored.
  mutating func bind(_ value: String?) {
    index += 1
    guard var value else {
      sqlite3_bind_null(handle, index)
      return
    }
    let index = index
    let handle = handle
    func store(_ bytes: UnsafeBufferPointer<UInt8>) {
      let start = UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
      // The statement is kept until the text is copied.
      sqlite3_bind_text(handle, index, start, Int32(bytes.count), Self.copied)
    }
    let isWhole = value.withUTF8 { bytes in
      guard let base = bytes.baseAddress, bytes.count > 0 else { return false }
      guard memchr(base, 0, bytes.count) == nil else { return false }
      store(bytes)
      return true
    }
    if isWhole { return }
    value = value.withoutZeros
    if value.isEmpty {
      sqlite3_bind_text(handle, index, "", 0, Self.copied)
    } else {
      value.withUTF8 { store($0) }
    }
  }

  /// Bytes that stay where they are until the statement has run.
  mutating func bind(lasting bytes: UnsafeRawBufferPointer?) {
    index += 1
    if let bytes {
      sqlite3_bind_blob(handle, index, bytes.baseAddress, Int32(bytes.count), nil)
    } else {
      sqlite3_bind_null(handle, index)
    }
  }

  /// SQLite's sign that it must copy what it is given.
  private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
}
