import Foundation
import Learner
import Policy
import TestSupport
import Testing

/// The learner with the real engine against transformers' numbers: losses, gradients, AdamW traces.
@Suite struct PolicyStepGoldenTests {
  /// Models of the goldens whose folder has a file.
  private static func models(with file: String) throws -> [String] {
    let folder = TestPaths.goldens.appending(path: "policy")
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().filter {
      FileManager.default.fileExists(atPath: folder.appending(path: "\($0)/\(file)").path)
    }
  }

  private struct Model {
    let folder: URL
    let meta: [String: Any]
    let objective: Objective
    let klCoefficient: Double

    init(_ name: String) throws {
      let goldens = TestPaths.goldens.appending(path: "policy")
      folder = goldens.appending(path: name)
      let all = try GoldenJSON.object(goldens.appending(path: "meta.json"))
      meta = try #require((all["models"] as? [String: Any])?[name] as? [String: Any])
      let hyper = try #require(all["hyper"] as? [String: Double])
      let clip = ClipRange(
        low: try #require(hyper["clip_low"]), high: try #require(hyper["clip_high"]), dual: hyper["clip_c"])
      var objective = Objective(loss: Decoupled(PPOClip(clip)))
      objective.kl = .k3
      // The stored weights are used as they are.
      objective.weights = BehaviourWeights(.token, .truncate(1e9))
      self.objective = objective
      klCoefficient = try #require(hyper["kl_coef"])
    }

    func file(_ name: String) throws -> SafetensorsFile { try SafetensorsFile(path: folder.appending(path: name).path) }

    func policy(_ adapter: LoRAAdapter? = nil) throws -> PolicyModel {
      try PolicyModel(
        Checkpoint(directory: folder.appending(path: "checkpoint").path), adapter: adapter,
        training: adapter == nil ? .everything : .adapter, threads: 2)
    }

    var adapter: LoRAAdapter {
      get throws {
        let config = try Checkpoint(directory: folder.appending(path: "checkpoint").path).config
        return try LoRAAdapter(directory: folder.appending(path: "adapter").path, for: config)
      }
    }
  }

  /// Rows of a rectangular batch as trees of one leaf, and log pi_old and log pi_ref of their trained nodes.
  private func linear(
    _ file: SafetensorsFile, old: [Float], ref: [Float]
  ) throws -> (trees: [TrainingTree], old: [[Float]], ref: [[Float]]) {
    let ids = try file.tensor(named: "input_ids")
    let (rows, width) = (ids.shape[0], ids.shape[1])
    let tokens = try ids.integers()
    let attention = try file.tensor(named: "attention_mask").integers()
    let mask = try file.tensor(named: "loss_mask").floats()
    let advantages = try file.tensor(named: "advantages").floats()
    let weights = try file.tensor(named: "is_weights").floats()
    var out: (trees: [TrainingTree], old: [[Float]], ref: [[Float]]) = ([], [], [])
    for b in 0..<rows {
      let length = (0..<width).reduce(0) { $0 + attention[b * width + $1] }
      let trained = (0..<length).filter { mask[b * width + $0] == 1 }
      func at(_ values: [Float]) -> [Double] { trained.map { Double(values[b * width + $0]) } }
      let leaf = TrainingLeaf(
        id: "\(b)", multiplicity: 1, reward: nil, length: length - 1, end: Int32(length - 1),
        nodes: trained.map(Int32.init), advantages: at(advantages),
        behaviour: zip(at(old), at(weights)).map { $0 - log($1) })
      out.trees.append(
        TrainingTree(
          label: "\(b)", tokens: (0..<length).map { Int32(tokens[b * width + $0]) },
          parents: (0..<length).map { Int32($0) - 1 }, promptCount: 1, leaves: [leaf]))
      out.old.append(trained.map { old[b * width + $0] })
      out.ref.append(trained.map { ref[b * width + $0] })
    }
    return out
  }

  private func relativeError(
    _ gradient: any GradientStore, _ policy: PolicyModel, _ expected: SafetensorsFile
  ) throws -> Double {
    var difference = 0.0
    var size = 0.0
    #expect(Set(policy.tensors.map(\.name)) == Set(expected.names))
    for tensor in policy.tensors {
      let values = try expected.tensor(named: tensor.name).floats()
      gradient.withElements { got in
        for (i, x) in zip(tensor.range, values) {
          difference += pow(Double(got[i]) - Double(x), 2)
          size += pow(Double(x), 2)
        }
      }
    }
    return (difference / size).squareRoot()
  }

  @Test func treesGiveTheFlattenedGradient() throws {
    let models = try Self.models(with: "tree.safetensors")
    #expect(!models.isEmpty)
    for name in models {
      let model = try Model(name)
      let file = try model.file("tree.safetensors")
      let (tree, old, ref) = try tree(file)
      let batch = UpdateBatch([tree], objective: model.objective, proximal: [old], reference: [ref])
      let expected = try #require(model.meta["tree"] as? [String: Any])
      let policy = try model.policy()
      for budget in [20, 10_000] {
        let gradient = policy.makeGradient()
        let statistics = try UpdateComputation(objective: model.objective, klCoefficient: model.klCoefficient)
          .run(policy, batch, TreePacking(budget: budget).bundles([tree]), gradient: gradient)
        let loss = statistics.loss(model.objective, klCoefficient: model.klCoefficient)
        #expect(abs(loss - (expected["loss"] as? Double ?? .nan)) <= 5e-6, "\(name) \(budget)")
        #expect(abs(statistics.policyLoss - (expected["pg_loss"] as? Double ?? .nan)) <= 5e-6)
        #expect(abs(statistics.klLoss - (expected["kl_loss"] as? Double ?? .nan)) <= 5e-6)
        #expect(abs(statistics.clipShare - (expected["pg_clipfrac"] as? Double ?? .nan)) <= 1e-9)
        let error = try relativeError(gradient, policy, model.file("tree.grads.safetensors"))
        #expect(error <= 2e-5, "\(name) \(budget)")
      }
    }
  }

  private func tree(_ file: SafetensorsFile) throws -> (TrainingTree, old: [Float], ref: [Float]) {
    let leaves = try file.tensor(named: "leaf_nodes")
    let (rows, width) = (leaves.shape[0], leaves.shape[1])
    let nodes = try leaves.integers()
    let mask = try file.tensor(named: "loss_mask").floats()
    let advantages = try file.tensor(named: "advantages").floats()
    let weights = try file.tensor(named: "is_weights").floats()
    let old = try file.tensor(named: "node_old_logprobs").floats()
    let ref = try file.tensor(named: "node_ref_logprobs").floats()
    let tokens = try file.tensor(named: "tokens").integers()
    let parents = try file.tensor(named: "parent").integers()
    // Parents stand before their children there, but not in pre-order.
    var children = [[Int]](repeating: [], count: tokens.count)
    for n in tokens.indices where parents[n] >= 0 { children[parents[n]].append(n) }
    var order: [Int] = []
    var stack = [0]
    while let n = stack.popLast() {
      order.append(n)
      stack += children[n].reversed()
    }
    var position = [Int](repeating: 0, count: tokens.count)
    for (i, n) in order.enumerated() { position[n] = i }
    var tree = TrainingTree(
      label: "tree", tokens: order.map { Int32(tokens[$0]) },
      parents: order.map { Int32(parents[$0] < 0 ? -1 : position[parents[$0]]) }, promptCount: 1, leaves: [])
    for l in 0..<rows {
      let path = (0..<width).map { nodes[l * width + $0] }.filter { $0 >= 0 }
      let trained = path.indices.filter { mask[l * width + $0] == 1 }
      tree.leaves.append(
        TrainingLeaf(
          id: "\(l)", multiplicity: 1, reward: nil, length: path.count - 1, end: Int32(position[path[path.count - 1]]),
          nodes: trained.map { Int32(position[path[$0]]) },
          advantages: trained.map { Double(advantages[l * width + $0]) },
          behaviour: trained.map { Double(old[path[$0]]) - log(Double(weights[l * width + $0])) }))
    }
    let places = tree.trainedNodes
    return (tree, places.map { old[order[Int($0)]] }, places.map { ref[order[Int($0)]] })
  }

  @Test func adapterFollowsItsTrace() throws {
    let models = try Self.models(with: "lora.after.safetensors")
    #expect(!models.isEmpty)
    for name in models {
      let model = try Model(name)
      let meta = try #require(model.meta["lora"] as? [String: Any])
      let own = try model.file("lora.safetensors")
      let spec = try #require((meta["spec"] as? [String: Any])?["adamw"] as? [String: Any])
      let policy = try model.policy(model.adapter)
      let data = try linear(
        model.file("linear.safetensors"), old: own.tensor(named: "old_logprobs").floats(),
        ref: own.tensor(named: "ref_logprobs").floats())
      try follow(
        policy, data, model, spec, trace: meta["adamw_trace"], gradients: model.file("lora.grads.safetensors"),
        after: own.tensor(named: "logprobs_after_steps"))
      // The adapter itself, as it would be written.
      let expected = try model.file("lora.after.safetensors")
      var difference = 0.0
      var size = 0.0
      for tensor in policy.tensors {
        let values = try expected.tensor(named: tensor.name).floats()
        policy.withTensor(policy.tensors.firstIndex(of: tensor) ?? 0) { got in
          for (x, y) in zip(got, values) {
            difference += pow(Double(x) - Double(y), 2)
            size += pow(Double(y), 2)
          }
        }
      }
      #expect((difference / size).squareRoot() < 1e-4, "\(name)")
    }
  }

  @Test func allParametersFollowTheirTrace() throws {
    let models = try Self.models(with: "full_adamw.safetensors")
    #expect(!models.isEmpty)
    for name in models {
      let model = try Model(name)
      let meta = try #require(model.meta["full_adamw"] as? [String: Any])
      let file = try model.file("linear.safetensors")
      let data = try linear(
        file, old: file.tensor(named: "old_logprobs").floats(), ref: file.tensor(named: "ref_logprobs").floats())
      try follow(
        model.policy(), data, model, try #require(meta["spec"] as? [String: Any]), trace: meta["trace"],
        gradients: model.file("linear.grads.safetensors"),
        after: model.file("full_adamw.safetensors").tensor(named: "logprobs_after_steps"))
    }
  }

  /// Takes the steps of a trace and compares losses, gradient norms, the first gradient, and the logprobs at the end.
  private func follow(
    _ policy: PolicyModel, _ data: (trees: [TrainingTree], old: [[Float]], ref: [[Float]]), _ model: Model,
    _ spec: [String: Any], trace: Any?, gradients: SafetensorsFile, after: StoredTensor
  ) throws {
    let trace = try #require(trace as? [[String: Any]])
    let betas = try #require(spec["betas"] as? [Double])
    var settings = OptimiserSettings()
    (settings.beta1, settings.beta2) = (betas[0], betas[1])
    settings.epsilon = try #require(spec["eps"] as? Double)
    settings.weightDecay = try #require(spec["weight_decay"] as? Double)
    settings.maxGradientNorm = try #require(spec["max_grad_norm"] as? Double)
    let rate = try #require(spec["lr"] as? Double)
    let optimiser = AdamW(count: policy.parameterCount, settings: settings)
    let batch = UpdateBatch(data.trees, objective: model.objective, proximal: data.old, reference: data.ref)
    let bundles = try TreePacking(budget: 64).bundles(data.trees)
    let computation = UpdateComputation(objective: model.objective, klCoefficient: model.klCoefficient)
    #expect(!trace.isEmpty)
    for (step, expected) in trace.enumerated() {
      let gradient = policy.makeGradient()
      let statistics = try computation.run(policy, batch, bundles, gradient: gradient)
      let loss = statistics.loss(model.objective, klCoefficient: model.klCoefficient)
      #expect(abs(loss - (expected["loss"] as? Double ?? .nan)) <= 1e-5, "step \(step)")
      if step == 0 { #expect(try relativeError(gradient, policy, gradients) <= 2e-5) }
      let norm = gradient.withElements { GradientStatistics(UnsafeBufferPointer($0)) }
      let wanted = try #require(expected["grad_norm_before_clip"] as? Double)
      #expect(abs(norm.norm - wanted) <= 1e-4 * wanted, "step \(step): \(norm.norm), \(wanted)")
      #expect(abs(statistics.clipShare - (expected["pg_clipfrac"] as? Double ?? .nan)) <= 1e-9, "step \(step)")
      gradient.withElements {
        optimiser.update(
          policy, gradient: UnsafeBufferPointer($0), scale: norm.clipFactor(maxNorm: settings.maxGradientNorm ?? 1),
          learningRate: rate)
      }
    }
    let width = after.shape[1]
    let expected = try after.floats()
    for (b, tree) in data.trees.enumerated() {
      let nodes = (1..<tree.tokens.count).map { Int32($0) }
      let forest = try TokenForest(tokens: tree.tokens, parents: tree.parents)
      let got = try policy.score(forest, nodes: nodes, options: ScoringOptions()).logprobs
      for (n, x) in zip(nodes, got) { #expect(abs(x - expected[b * width + Int(n)]) <= 2e-4) }
    }
  }
}
