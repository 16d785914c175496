import Foundation
import TestSupport
import Testing

@testable import Policy

/// Every checkpoint and adapter in the goldens opens, and writing it again gives the same tensors.
@Suite("Golden checkpoints")
struct CheckpointGoldenTests {
  static let models: [String] = {
    let folder = TestPaths.goldens.appending(path: "policy")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.sorted().map { folder.appending(path: $0).path }
      .filter { FileManager.default.fileExists(atPath: $0 + "/checkpoint/config.json") }
  }()

  @Test("there are some")
  func some() { #expect(!Self.models.isEmpty) }

  @Test("checkpoints", arguments: models)
  func checkpoint(_ model: String) throws {
    let checkpoint = try Checkpoint(directory: model + "/checkpoint")
    #expect(checkpoint.unusedNames.isEmpty)
    for name in checkpoint.names {
      let tensor = try checkpoint.tensor(named: name)
      let floats = try tensor.floats()
      #expect(floats.count == tensor.shape.reduce(1, *) && floats.allSatisfy(\.isFinite))
    }
    let copy = try TemporaryFolder()
    try checkpoint.write(to: copy.url.path) { name in try? checkpoint.tensor(named: name).floats() }
    for file in checkpoint.files {
      let name = URL(filePath: file.path).lastPathComponent
      let again = try SafetensorsFile(path: copy.path(name))
      #expect(again.names == file.names && again.metadata == file.metadata)
      for (a, b) in zip(file.tensors, again.tensors) {
        #expect(a.elementType == b.elementType && a.shape == b.shape)
        #expect(a.withBytes { Array($0) } == b.withBytes { Array($0) })
      }
    }
  }

  @Test("adapters", arguments: models.filter { FileManager.default.fileExists(atPath: $0 + "/adapter") })
  func adapter(_ model: String) throws {
    let config = try Checkpoint(directory: model + "/checkpoint").config
    let adapter = try LoRAAdapter(directory: model + "/adapter", for: config)
    let copy = try TemporaryFolder()
    try adapter.write(to: copy.url.path)
    #expect(try LoRAAdapter(directory: copy.url.path, for: config) == adapter)
    let names = try SafetensorsFile(path: model + "/adapter/adapter_model.safetensors").names
    #expect(try SafetensorsFile(path: copy.path("adapter_model.safetensors")).names.sorted() == names.sorted())
  }
}
