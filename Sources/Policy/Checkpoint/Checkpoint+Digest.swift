import Foundation
import RolloutLogs

extension Checkpoint {
  /// SHA-256 of `config.json` and the weight files, in the order of their names: tells checkpoints apart.
  /// - Parameter interruption: called now and then; what it throws ends the work.
  public func sha256(interruption: () throws -> Void = {}) throws -> String {
    try Self.sha256(
      of: ["config.json"] + files.map { URL(filePath: $0.path).lastPathComponent }, in: directory, interruption)
  }

  static func sha256(of names: [String], in folder: String, _ interruption: () throws -> Void) throws -> String {
    var hash = SHA256()
    for name in names {
      let file = try MappedFile(path: folder + "/" + name)
      // The length sets neighbours apart: the same bytes cut elsewhere are other files.
      withUnsafeBytes(of: UInt64(file.bytes.count).littleEndian) { hash.add($0) }
      for start in stride(from: 0, to: file.bytes.count, by: 1 << 24) {
        try interruption()
        hash.add(UnsafeRawBufferPointer(rebasing: file.bytes[start..<min(file.bytes.count, start + 1 << 24)]))
      }
    }
    return hash.hex
  }
}

extension LoRAAdapter {
  /// SHA-256 of a PEFT folder's config and weights.
  public static func sha256(directory: String) throws -> String {
    try Checkpoint.sha256(of: [configName, weightsName], in: directory) {}
  }
}
