import Foundation
import TestSupport
import Testing

@testable import Policy

/// Scores and gradients against transformers, within the tolerances of the goldens' README.
@Suite("Golden engine")
struct EngineGoldenTests {
  @Test("there are models with gradients")
  func some() { #expect(!GoldenPolicy.with("linear.grads.safetensors").isEmpty) }

  @Test("forward only", arguments: GoldenPolicy.with("forward.safetensors"))
  func forward(_ golden: GoldenPolicy) throws {
    let t = try golden.tensors("forward.safetensors")
    let shape = try t.shape("input_ids")
    let ids = try t.integers("input_ids").map(Int32.init)
    let forest = try TokenForest(
      sequences: (0..<shape[0]).map { Array(ids[($0 * shape[1])..<(($0 + 1) * shape[1])]) })
    for threads in [1, 2] {
      let model = try PolicyModel(try golden.checkpoint(), threads: threads)
      let logits = try model.logits(forest, after: (0..<Int32(forest.count)).map { $0 })
      #expect(largestDifference(logits, try t.floats("logits")) < 5e-5)
      let expected = try t.floats("logprobs")
      let nodes = (0..<Int32(forest.count)).filter { forest.parents[Int($0)] >= 0 }
      let logprobs = try model.forward(forest, scoring: nodes).logprobs
      #expect(largestDifference(logprobs, nodes.map { expected[Int($0)] }) < 5e-5)
    }
  }

  @Test("logits, log-probabilities and entropies of rows", arguments: GoldenPolicy.with("linear.safetensors"))
  func rows(_ golden: GoldenPolicy) throws {
    let t = try golden.tensors("linear.safetensors")
    let batch = try GoldenBatch.linear(t)
    let model = try PolicyModel(try golden.checkpoint(), threads: 2)
    let vocabulary = model.config.vocabularySize
    let pass = try model.forward(batch.forest, scoring: batch.nodes, options: .init(entropies: true, topK: 3))
    let places = batch.pairs.map { $0[0] }
    let (logprobs, entropies) = (try t.floats("logprobs"), try t.floats("entropy"))
    #expect(largestDifference(pass.logprobs, places.map { logprobs[$0] }) < 5e-5)
    #expect(largestDifference(pass.entropies ?? [], places.map { entropies[$0 - 1] }) < 5e-5)

    let expected = try t.floats("logits")
    let parents = batch.nodes.map { batch.forest.parents[Int($0)] }
    let logits = try model.logits(batch.forest, after: parents)
    for (i, place) in places.enumerated() {
      let row = expected[((place - 1) * vocabulary)..<(place * vocabulary)]
      #expect(largestDifference(logits[(i * vocabulary)..<((i + 1) * vocabulary)], row) < 5e-5)
      let largest = row.enumerated().sorted { $0.element > $1.element }.prefix(3)
      let top = try #require(pass.candidates)[i]
      #expect(top.map(\.token) == largest.map { Int32($0.offset) })
    }
  }

  @Test("loss and gradients of rows", arguments: GoldenPolicy.with("linear.grads.safetensors"))
  func rowGradients(_ golden: GoldenPolicy) throws {
    let batch = try GoldenBatch.linear(try golden.tensors("linear.safetensors"))
    try check(golden, batch, "linear.grads.safetensors", loss: golden.meta("linear", "loss"))
  }

  @Test("loss and gradients of a tree", arguments: GoldenPolicy.with("tree.grads.safetensors"))
  func treeGradients(_ golden: GoldenPolicy) throws {
    let t = try golden.tensors("tree.safetensors")
    let packed = try check(
      golden, try GoldenBatch.tree(t, flattened: false), "tree.grads.safetensors", loss: golden.meta("tree", "loss"))
    let flat = try check(
      golden, try GoldenBatch.tree(t, flattened: true), "tree.grads.safetensors", loss: golden.meta("tree", "loss"))
    #expect(relativeDistance(packed, flat) < 1e-5)
  }

  @Test("log-probabilities of tree nodes", arguments: GoldenPolicy.with("tree.safetensors"))
  func treeNodes(_ golden: GoldenPolicy) throws {
    let t = try golden.tensors("tree.safetensors")
    let batch = try GoldenBatch.tree(t, flattened: false)
    let model = try PolicyModel(try golden.checkpoint(), threads: 2)
    let logprobs = try model.forward(batch.forest, scoring: batch.nodes).logprobs
    let leaves = try t.integers("leaf_nodes")
    let expected = try t.floats("node_logprobs")
    #expect(largestDifference(logprobs, batch.pairs.map { expected[leaves[$0[0]]] }) < 5e-5)
  }

  @Test("gradients of an adapter", arguments: GoldenPolicy.with("lora.grads.safetensors"))
  func adapterGradients(_ golden: GoldenPolicy) throws {
    let checkpoint = try golden.checkpoint()
    let adapter = try LoRAAdapter(directory: golden.folder.appending(path: "adapter").path, for: checkpoint.config)
    let t = try golden.tensors("lora.safetensors")
    let batch = try GoldenBatch.linear(
      try golden.tensors("linear.safetensors"), old: t.floats("old_logprobs"), ref: t.floats("ref_logprobs"))
    let model = try PolicyModel(checkpoint, adapter: adapter, training: .adapter, threads: 2)
    let result = try batch.gradients(model, try golden.hyper())
    let expected = try t.floats("logprobs")
    #expect(largestDifference(result.logprobs, batch.pairs.map { expected[$0[0]] }) < 5e-5)
    #expect(abs(result.loss - (try golden.meta("lora", "loss") as? Double ?? .nan)) < 5e-6)
    try compare(result.gradients, try golden.tensors("lora.grads.safetensors"))
    #expect(model.adapter == adapter)
  }

  @discardableResult
  private func check(_ golden: GoldenPolicy, _ batch: GoldenBatch, _ file: String, loss: Any?) throws -> [Float] {
    let model = try PolicyModel(try golden.checkpoint(), training: .everything, threads: 2)
    let result = try batch.gradients(model, try golden.hyper())
    #expect(abs(result.loss - (loss as? Double ?? .nan)) < 5e-6)
    try compare(result.gradients, try golden.tensors(file))
    // Layers that are computed again give the same bits.
    let again = try batch.gradients(model, try golden.hyper(), budget: 0)
    #expect(again.gradients.all == result.gradients.all)
    return result.gradients.all
  }

  private func compare(_ gradients: GradientBuffer, _ expected: GoldenTensors) throws {
    #expect(Set(gradients.layout.entries.map(\.name)) == Set(expected.file.names))
    var all: [Float] = []
    for entry in gradients.layout.entries {
      let golden = try expected.floats(entry.name)
      let ours = try #require(gradients.values(of: entry.name))
      #expect(relativeDistance(ours, golden) < 1e-4, "\(entry.name)")
      all += golden
    }
    #expect(relativeDistance(gradients.all, all) < 2e-5)
  }
}
