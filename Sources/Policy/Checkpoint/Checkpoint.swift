import Foundation

/// A Hugging Face checkpoint folder: `config.json` and safetensors, in one file or in shards.
///
/// Opening maps the files and compares names and shapes with the config; no weight is read before it is asked for.
public final class Checkpoint: Sendable {
  /// The folder.
  public let directory: String
  public let config: PolicyConfig
  /// Tensors of the folder that the policy does not use, such as an `lm_head.weight` beside tied embeddings.
  public let unusedNames: [String]
  /// The weight files, in the order of their names.
  let files: [SafetensorsFile]
  private let places: [String: (file: Int, tensor: Int)]

  /// Opens a folder.
  /// - Throws: ``PolicyError`` that names the file: `unreadable`, `malformed`, `unsupported`, or `mismatch` between
  ///   config, index and tensors.
  public init(directory: String) throws(PolicyError) {
    self.directory = directory
    config = try PolicyConfig(path: directory + "/config.json")
    let index = try CheckpointIndex(directory: directory)
    var files: [SafetensorsFile] = []
    var places: [String: (file: Int, tensor: Int)] = [:]
    for name in index.fileNames {
      let file = try SafetensorsFile(path: directory + "/" + name)
      for (i, tensor) in file.tensors.enumerated() {
        let shown = SafetensorsHeader.quoted(tensor.name)
        if let expected = index.fileName(of: tensor.name), expected != name {
          throw PolicyError(.mismatch, "holds \(shown), which the index places in \(expected)", path: file.path)
        }
        guard places.updateValue((files.count, i), forKey: tensor.name) == nil else {
          throw PolicyError(.mismatch, "holds \(shown), as another shard does", path: file.path)
        }
      }
      files.append(file)
    }
    for name in index.tensorNames where places[name] == nil {
      let file = index.fileName(of: name) ?? ""
      throw PolicyError(
        .mismatch, "the index places \(SafetensorsHeader.quoted(name)) in it, but it is not there",
        path: directory + "/" + file)
    }
    self.files = files
    self.places = places
    unusedNames = try Self.check(files, places, config, directory)
  }

  /// Names of all tensors, in the order of files and bytes.
  public var names: [String] { files.flatMap(\.names) }

  /// The tensor of that name, as in the files (`model.layers.0.self_attn.q_proj.weight`).
  /// - Throws: ``PolicyError`` with the code `mismatch` if there is none.
  public func tensor(named name: String) throws(PolicyError) -> StoredTensor {
    guard let place = places[name] else {
      throw PolicyError(.mismatch, "has no tensor \(SafetensorsHeader.quoted(name))", path: directory)
    }
    return files[place.file].tensors[place.tensor]
  }

  /// Bytes of all weights as stored.
  public var byteCount: Int { files.reduce(0) { $0 + $1.tensors.reduce(0) { $0 + $1.byteCount } } }

  private static func check(
    _ files: [SafetensorsFile], _ places: [String: (file: Int, tensor: Int)], _ config: PolicyConfig,
    _ directory: String
  ) throws(PolicyError) -> [String] {
    // A config may announce more layers than memory has room for; every layer has tensors, so the files bound it.
    guard config.layerCount <= places.count else {
      throw PolicyError(
        .mismatch, "config.json announces \(config.layerCount) layers, the files hold \(places.count) tensors",
        path: directory)
    }
    var used: Set<String> = []
    for parameter in config.parameters {
      let shown = SafetensorsHeader.quoted(parameter.name)
      guard let place = places[parameter.name] else {
        throw PolicyError(.mismatch, "has no tensor \(shown), which config.json implies", path: directory)
      }
      let file = files[place.file]
      let tensor = file.tensors[place.tensor]
      guard tensor.shape == parameter.shape else {
        throw PolicyError(
          .mismatch, "\(shown) is \(tensor.shape), config.json implies \(parameter.shape)", path: file.path)
      }
      guard tensor.elementType.isWeight else {
        throw PolicyError(
          .unsupported, "\(shown) is \(tensor.elementType.rawValue); weights may be F32, F16 or BF16", path: file.path)
      }
      used.insert(parameter.name)
    }
    let unused = files.flatMap(\.names).filter { !used.contains($0) }
    // Buffers that old versions saved, and the copy of a tied head, say nothing new. Any other tensor inside the model
    // means that the config describes another network than the weights.
    for name in unused where name.hasPrefix("model.") && !name.hasSuffix(".rotary_emb.inv_freq") {
      throw PolicyError(
        .mismatch,
        "holds \(SafetensorsHeader.quoted(name)), which a \(config.family.rawValue) of this config does not have",
        path: directory)
    }
    return unused
  }
}
