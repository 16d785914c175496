#if canImport(arpo_replay)
  @testable import arpo_replay
#else
  @testable import CLIOutput
#endif

import Testing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension TerminalTraits {
  /// A terminal or file of some columns, in Unicode and without colour unless said.
  static func columns(
    _ width: Int, limit: Int? = nil, isTTY: Bool = false, color: Bool = false, unicode: Bool = true
  ) -> TerminalTraits {
    TerminalTraits(isTTY: isTTY, width: width, limit: limit ?? width, color: color, unicode: unicode)
  }

  /// A file, which takes lines of any length.
  static let file = TerminalTraits(isTTY: false, width: 120, limit: nil, color: false, unicode: true)
}

/// What a body writes to a descriptor.
func written(_ body: (BufferedOutput) throws -> Void) throws -> String {
  var name = Array("/tmp/arpo-replay-output.XXXXXX".utf8CString)
  let file = mkstemp(&name)
  try #require(file >= 0)
  unlink(name)
  defer { close(file) }
  try body(BufferedOutput(descriptor: file, capacity: 64))
  var bytes = [UInt8](repeating: 0, count: Int(lseek(file, 0, SEEK_END)))
  let count = pread(file, &bytes, bytes.count, 0)
  try #require(count == bytes.count)
  return String(decoding: bytes, as: UTF8.self)
}
