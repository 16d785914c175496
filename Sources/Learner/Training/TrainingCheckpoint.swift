public import Foundation
import Policy

/// Checkpoints of a run: folders `update-00000010` that are complete or not there.
///
/// A folder holds `state.json`, `parameters.safetensors` (trained tensors, F32) and `optimizer.safetensors` (moments
/// `first.*` and `second.*`). It is written under another name, flushed, and renamed; older ones are then removed.
public struct TrainingCheckpoints {
  /// The folder that holds them.
  public let directory: String

  /// The checkpoints of a folder.
  public init(directory: String) { self.directory = directory }

  /// The newest complete checkpoint.
  public var latest: String? {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.filter { $0.hasPrefix("update-") }.max().map { directory + "/" + $0 }
  }

  /// The update after which the newest complete checkpoint was made.
  public var latestUpdate: Int? { latest.flatMap { Int($0.suffix(8)) } }

  /// Saves a run.
  public func save(_ state: TrainingState, policy: some ParameterStore, optimiser: AdamW) throws {
    let files = FileManager.default
    let temporary = directory + "/.writing"
    try? files.removeItem(atPath: temporary)
    try files.createDirectory(atPath: temporary, withIntermediateDirectories: true)
    var parameters: [SafetensorsWriter.Tensor] = []
    var moments: [SafetensorsWriter.Tensor] = []
    for (index, tensor) in policy.tensors.enumerated() {
      parameters.append(
        .init(tensor.name, .f32, shape: tensor.shape) { () throws(PolicyError) in
          var values: [Float] = []
          policy.withTensor(index) { values = Array($0) }
          return .floats(values)
        })
      for (name, buffer) in [("first.", optimiser.first), ("second.", optimiser.second)] {
        moments.append(
          .init(name + tensor.name, .f32, shape: tensor.shape) { () throws(PolicyError) in
            .floats(Array(buffer.elements[tensor.range]))
          })
      }
    }
    try SafetensorsWriter.write(parameters, to: temporary + "/parameters.safetensors")
    try SafetensorsWriter.write(moments, to: temporary + "/optimizer.safetensors")
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    try DurableFile.write(encoder.encode(state), to: temporary + "/state.json")
    let name = "update-" + String(repeating: "0", count: max(0, 8 - "\(state.update)".count)) + "\(state.update)"
    let target = directory + "/" + name
    // The same update twice: an interrupted run that was at a checkpoint already.
    let replaced = directory + "/.replaced"
    try? files.removeItem(atPath: replaced)
    if files.fileExists(atPath: target) { try files.moveItem(atPath: target, toPath: replaced) }
    try files.moveItem(atPath: temporary, toPath: target)
    DurableFile.flushFolder(directory)
    try? files.removeItem(atPath: replaced)
    for old in (try? files.contentsOfDirectory(atPath: directory)) ?? [] where old.hasPrefix("update-") && old < name {
      try? files.removeItem(atPath: directory + "/" + old)
    }
  }

  /// Restores a run from the newest checkpoint; `nil` without any.
  public func restore(policy: some ParameterStore, optimiser: AdamW) throws -> TrainingState? {
    guard let latest else { return nil }
    let state: TrainingState
    do {
      state = try JSONDecoder().decode(
        TrainingState.self, from: Data(contentsOf: URL(filePath: latest + "/state.json")))
    } catch {
      throw LearnerError("\(latest)/state.json cannot be read: \(error)")
    }
    let parameters = try SafetensorsFile(path: latest + "/parameters.safetensors")
    let moments = try SafetensorsFile(path: latest + "/optimizer.safetensors")
    for (index, tensor) in policy.tensors.enumerated() {
      func floats(_ name: String, _ file: SafetensorsFile) throws -> [Float] {
        let stored = try file.tensor(named: name)
        guard stored.shape == tensor.shape else {
          throw LearnerError("\(file.path): \(name) is \(stored.shape), the policy's is \(tensor.shape)")
        }
        return try stored.floats()
      }
      let values = try floats(tensor.name, parameters)
      policy.withTensor(index) { _ = $0.update(fromContentsOf: values) }
      for (name, buffer) in [("first.", optimiser.first), ("second.", optimiser.second)] {
        let values = try floats(name + tensor.name, moments)
        _ = UnsafeMutableBufferPointer(rebasing: buffer.elements[tensor.range]).update(fromContentsOf: values)
      }
    }
    guard parameters.names.count == policy.tensors.count else {
      throw LearnerError("\(latest) has \(parameters.names.count) tensors, the policy trains \(policy.tensors.count)")
    }
    optimiser.resume(atStep: state.optimiserSteps)
    return state
  }
}

/// Files that are on the disk when the call returns.
public enum DurableFile {
  /// Writes a file under a temporary name, flushes it and renames it.
  public static func write(_ data: Data, to path: String) throws {
    let temporary = path + ".writing"
    guard FileManager.default.createFile(atPath: temporary, contents: nil) else {
      throw LearnerError("cannot write \(path)")
    }
    let handle = try FileHandle(forWritingTo: URL(filePath: temporary))
    do {
      try handle.write(contentsOf: data)
      try handle.synchronize()
      try handle.close()
    } catch {
      throw LearnerError("cannot write \(path): \(error)")
    }
    guard rename(temporary, path) == 0 else { throw LearnerError("cannot write \(path)") }
    flushFolder(URL(filePath: path).deletingLastPathComponent().path)
  }

  /// Flushes a folder's entries, where the file system lets one.
  static func flushFolder(_ path: String) {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }
}
