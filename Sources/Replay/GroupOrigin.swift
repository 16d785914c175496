/// What a log holds of a prompt group beyond its trajectories: the prompt, and where each record stands in which file.
public struct GroupOrigin: Sendable {
  /// The prompt as text; `nil` if the log has none.
  public var promptText: String?
  /// The prompt's token ids; `nil` if the log has none.
  public var promptTokenIDs: [Int32]?
  /// The expected answer as logged.
  public var groundTruth: String?
  /// Data set or task family.
  public var dataSource: String?
  /// One for each trajectory, in the order of the group.
  public var trajectories: [TrajectoryOrigin]

  /// What is known of a group.
  public init(
    promptText: String?, promptTokenIDs: [Int32]?, groundTruth: String?, dataSource: String?,
    trajectories: [TrajectoryOrigin]
  ) {
    self.promptText = promptText
    self.promptTokenIDs = promptTokenIDs
    self.groundTruth = groundTruth
    self.dataSource = dataSource
    self.trajectories = trajectories
  }
}

/// Where a trajectory's record stands, and the text that was logged with it.
public struct TrajectoryOrigin: Sendable, Hashable {
  /// The log file as it was given to the import.
  public var path: String
  /// From 1.
  public var line: Int
  /// In the uncompressed log.
  public var byteOffset: Int
  /// Name of the log's format.
  public var format: String
  /// The decoded response, where the record has all of it: no parent and one text.
  public var text: String?
  /// Whether the selection's condition holds for it.
  public var isSelected: Bool

  /// The place of a record.
  public init(path: String, line: Int, byteOffset: Int, format: String, text: String?, isSelected: Bool) {
    self.path = path
    self.line = line
    self.byteOffset = byteOffset
    self.format = format
    self.text = text
    self.isSelected = isSelected
  }
}
