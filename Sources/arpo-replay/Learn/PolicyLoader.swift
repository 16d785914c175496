import Foundation
import Policy

/// Opens policies: a checkpoint, alone or with a PEFT adapter.
struct PolicyLoader {
  let checkpoint: Checkpoint
  let threads: Int

  init(_ directory: String, threads: Int) throws {
    if Self.isAdapter(directory) {
      throw PolicyError(
        .mismatch, "is an adapter: give the checkpoint that it belongs to as --policy and this as --adapter",
        path: directory)
    }
    checkpoint = try Checkpoint(directory: directory)
    self.threads = threads
  }

  /// Whether a folder holds a PEFT adapter.
  static func isAdapter(_ directory: String) -> Bool {
    FileManager.default.fileExists(atPath: directory + "/adapter_config.json")
  }

  func adapter(_ directory: String) throws -> LoRAAdapter {
    try LoRAAdapter(directory: directory, for: checkpoint.config)
  }

  /// The checkpoint with an adapter, or without.
  func model(_ adapter: LoRAAdapter? = nil, training: Trainable = .nothing) throws -> PolicyModel {
    try PolicyModel(checkpoint, adapter: adapter, training: training, threads: threads)
  }

  /// The policy of a folder: another checkpoint, or an adapter of this one.
  func other(_ directory: String) throws -> PolicyModel {
    if Self.isAdapter(directory) { return try model(adapter(directory)) }
    return try PolicyLoader(directory, threads: threads).model()
  }
}
