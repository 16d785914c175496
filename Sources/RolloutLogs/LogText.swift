/// Checks of a record's bytes that come before any format.
public enum LogText {
  /// Offset of the first byte that is not valid UTF-8, or `nil`.
  public static func firstInvalidUTF8(in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    UTF8Check.firstInvalid(in: bytes)
  }
}
