import Foundation
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
  public var latest: String? { newest.map { directory + "/" + $0.name } }

  /// The update after which the newest complete checkpoint was made.
  public var latestUpdate: Int? { newest?.update }

  /// Ends the name of a checkpoint that another of the same update is about to stand in for.
  private static let replaced = ".replaced"

  /// Names of the complete checkpoints and the updates they were made after.
  private var all: [(name: String, update: Int)] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.compactMap { name in
      guard name.hasPrefix("update-") else { return nil }
      let number = name.hasSuffix(Self.replaced) ? name.dropLast(Self.replaced.count) : name[...]
      return Int(number.dropFirst("update-".count)).map { (name, $0) }
    }
  }

  /// A replaced one counts where its successor is not there.
  private var newest: (name: String, update: Int)? {
    all.max { ($0.update, $1.name.utf8.count) < ($1.update, $0.name.utf8.count) }
  }

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
    try AtomicFile.write(Array(encoder.encode(state)), to: temporary + "/state.json")
    let name = "update-" + String(repeating: "0", count: max(0, 8 - "\(state.update)".count)) + "\(state.update)"
    let target = directory + "/" + name
    // The same update twice: an interrupted run that was at a checkpoint already.
    if files.fileExists(atPath: target) {
      try? files.removeItem(atPath: target + Self.replaced)
      try files.moveItem(atPath: target, toPath: target + Self.replaced)
    }
    try files.moveItem(atPath: temporary, toPath: target)
    AtomicFile.flush(folder: directory)
    for old in all where old.update <= state.update && old.name != name {
      try? files.removeItem(atPath: directory + "/" + old.name)
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
