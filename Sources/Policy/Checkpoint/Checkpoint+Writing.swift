import Foundation
internal import RolloutLogs

extension Checkpoint {
  /// Files beside the weights that belong to a checkpoint and are copied unchanged, where they exist.
  public static let companions = [
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "vocab.json", "merges.txt", "added_tokens.json", "chat_template.jinja", "chat_template.json",
  ]

  /// Writes the checkpoint into another folder with some tensors replaced: same element types, same shards, same
  /// companions.
  ///
  /// - Parameters:
  ///   - folder: made if it does not exist; must not be the checkpoint's own.
  ///   - replacement: new values of a tensor, row-major, rounded to the type that it is stored in; `nil` keeps its bytes.
  /// - Throws: ``PolicyError``: `mismatch`, `unwritable`. Every file is complete under its name or absent; the index and
  ///   `config.json` come last.
  public func write(
    to folder: String, replacing replacement: @escaping (String) throws(PolicyError) -> [Float]?
  ) throws(PolicyError) {
    try Self.makeFolder(folder)
    let own = URL(filePath: directory).resolvingSymlinksInPath().standardizedFileURL.path
    guard URL(filePath: folder).resolvingSymlinksInPath().standardizedFileURL.path != own else {
      throw PolicyError(.unwritable, "is the checkpoint's own folder", path: folder)
    }
    for file in files {
      var tensors: [SafetensorsWriter.Tensor] = []
      for stored in file.tensors {
        tensors.append(
          SafetensorsWriter.Tensor(stored.name, stored.elementType, shape: stored.shape) { () throws(PolicyError) in
            if let floats = try replacement(stored.name) { .floats(floats) } else { .stored(stored) }
          })
      }
      let metadata = file.metadata.isEmpty ? ["format": "pt"] : file.metadata
      try SafetensorsWriter.write(
        tensors, to: folder + "/" + URL(filePath: file.path).lastPathComponent,
        metadata: metadata.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) })
    }
    let index = CheckpointIndex.indexName
    let isSharded = files.first.map { URL(filePath: $0.path).lastPathComponent != CheckpointIndex.singleName } ?? false
    for name in Self.companions.reversed() + (isSharded ? [index] : [])
    where FileManager.default.fileExists(atPath: directory + "/" + name) {
      let source = try MappedFile(path: directory + "/" + name)
      let copy = try AtomicFile(folder + "/" + name)
      try copy.write(source.bytes)
      try copy.commit()
    }
  }

  static func makeFolder(_ folder: String) throws(PolicyError) {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw PolicyError(.unwritable, "the folder cannot be made: \(error.localizedDescription)", path: folder)
    }
  }
}
