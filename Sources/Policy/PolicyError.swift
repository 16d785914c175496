/// Why a checkpoint, an adapter, a tokenizer or a request to the policy was refused.
public struct PolicyError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What kind of trouble it is.
  public enum Code: Sendable, Equatable {
    /// A file is missing or the system does not let it be read.
    case unreadable
    /// A file could not be written.
    case unwritable
    /// The bytes are not what the format says: truncated, overlapping, lying.
    case malformed
    /// Well-formed, but something that this engine does not do; the message names it.
    case unsupported
    /// Two things that belong together do not fit: config and weights, adapter and checkpoint, ids and vocabulary.
    case mismatch
    /// A computation gave NaN or an infinity; the message says where.
    case notFinite
  }

  public var code: Code
  public var message: String
  /// The file or folder it is about, where there is one.
  public var path: String?

  public init(_ code: Code, _ message: String, path: String? = nil) {
    self.code = code
    self.message = message
    self.path = path
  }

  public var description: String { path.map { "\($0): \(message)" } ?? message }

  /// The same error, about a file unless it names one already.
  func at(_ path: String) -> PolicyError {
    var error = self
    error.path = error.path ?? path
    return error
  }
}
