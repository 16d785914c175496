/// Why a record (or the rest of a file) could not be imported.
///
/// The raw values are stored in the quarantine.
public enum QuarantineReason: String, Sendable, CaseIterable {
  case invalidJSON = "invalid_json"
  case invalidUTF8 = "invalid_utf8"
  case notFinite = "not_finite"
  case wrongType = "wrong_type"
  case missingField = "missing_field"
  case lengthMismatch = "length_mismatch"
  case positiveLogprob = "positive_logprob"
  case badSegments = "bad_segments"
  case badBranch = "bad_branch"
  case outOfRange = "out_of_range"
  case missingRun = "missing_run"
  case missingParent = "missing_parent"
  case parentCycle = "parent_cycle"
  case missingPart = "missing_part"
  case prefixDisagrees = "prefix_disagrees"
  case promptDisagrees = "prompt_disagrees"
  case duplicateDisagrees = "duplicate_disagrees"
  case unsupportedSchema = "unsupported_schema"
  case unknownRecord = "unknown_record"
  case tooDeep = "too_deep"
  case tooLong = "too_long"
  case tornLine = "torn_line"
  case truncatedStream = "truncated_stream"
  case corruptStream = "corrupt_stream"
  case decompressionBomb = "decompression_bomb"
}

/// A record that cannot be imported as it stands.
public struct RecordError: Error, Sendable, Equatable, CustomStringConvertible {
  public var reason: QuarantineReason
  public var message: String
  /// Byte offset of the trouble inside the record, where it is known.
  public var offset: Int?

  public init(_ reason: QuarantineReason, _ message: String, at offset: Int? = nil) {
    self.reason = reason
    self.message = message
    self.offset = offset
  }

  public var description: String { "\(reason.rawValue): \(message)" }
}
