import Foundation
import TestSupport
import Testing

@testable import Policy

/// One model folder of the policy goldens.
struct GoldenPolicy: CustomTestStringConvertible {
  let folder: URL
  var testDescription: String { folder.lastPathComponent }

  /// Every folder with a checkpoint.
  static let all: [GoldenPolicy] = {
    let root = TestPaths.goldens.appending(path: "policy")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
    return names.sorted().map { GoldenPolicy(folder: root.appending(path: $0)) }.filter {
      $0.has("checkpoint/config.json")
    }
  }()

  static func with(_ file: String) -> [GoldenPolicy] { all.filter { $0.has(file) } }

  func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: folder.appending(path: name).path) }

  func checkpoint() throws -> Checkpoint { try Checkpoint(directory: folder.appending(path: "checkpoint").path) }

  func tensors(_ name: String) throws -> GoldenTensors {
    GoldenTensors(file: try SafetensorsFile(path: folder.appending(path: name).path))
  }

  /// What meta.json says of this model under a path of keys.
  func meta(_ keys: String...) throws -> Any? {
    let url = folder.deletingLastPathComponent().appending(path: "meta.json")
    var value: Any? = try GoldenJSON.object(url)
    for key in ["models", folder.lastPathComponent] + keys { value = (value as? [String: Any])?[key] }
    return value
  }

  func hyper() throws -> GoldenLoss {
    let url = folder.deletingLastPathComponent().appending(path: "meta.json")
    let h = try GoldenJSON.object(url)["hyper"] as? [String: Double] ?? [:]
    return GoldenLoss(
      clipLow: h["clip_low"] ?? .nan, clipHigh: h["clip_high"] ?? .nan, clipC: h["clip_c"] ?? .nan,
      klCoefficient: h["kl_coef"] ?? .nan)
  }
}

struct GoldenTensors {
  let file: SafetensorsFile

  func floats(_ name: String) throws -> [Float] { try file.tensor(named: name).floats() }
  func integers(_ name: String) throws -> [Int] { try file.tensor(named: name).integers() }
  func shape(_ name: String) throws -> [Int] { try file.tensor(named: name).shape }
}

/// The loss of the goldens' README, and its derivative by the log-probability.
struct GoldenLoss {
  var clipLow: Double
  var clipHigh: Double
  var clipC: Double
  var klCoefficient: Double

  func term(_ lp: Float, old: Float, ref: Float, advantage: Float, weight: Float) -> (loss: Double, slope: Double) {
    let (lp, a) = (Double(lp), Double(advantage))
    let ratio = exp(min(20, max(-20, lp - Double(old))))
    let clipped = min(1 + clipHigh, max(1 - clipLow, ratio))
    var pg = max(-a * ratio, -a * clipped)
    var slope = -a * ratio >= -a * clipped ? -a * ratio : 0
    if a < 0, pg > -a * clipC { (pg, slope) = (-a * clipC, 0) }
    let d = min(20, max(-20, Double(ref) - lp))
    let k3 = exp(d) - d - 1
    return (Double(weight) * pg + klCoefficient * k3, Double(weight) * slope + klCoefficient * (1 - exp(d)))
  }
}

/// A forest whose scored nodes stand for (row, column) pairs of a golden's matrices.
struct GoldenBatch {
  let forest: TokenForest
  let nodes: [Int32]
  /// For each scored node the flat indices of the pairs that are this node.
  let pairs: [[Int]]
  /// Same for the values of `old`, `ref`: one a node or one a pair.
  let old: [Float]
  let ref: [Float]
  let advantages: [Float]
  let weights: [Float]
  let mask: [Float]

  /// The rectangular case, a chain a row.
  static func linear(_ t: GoldenTensors, old: [Float]? = nil, ref: [Float]? = nil) throws -> GoldenBatch {
    let ids = try t.integers("input_ids")
    let attention = try t.integers("attention_mask")
    let width = try t.shape("input_ids")[1]
    var sequences: [[Int32]] = []
    var nodes: [Int32] = []
    var pairs: [[Int]] = []
    var count = 0
    for row in 0..<(ids.count / width) {
      let length = attention[(row * width)..<((row + 1) * width)].reduce(0, +)
      sequences.append((0..<length).map { Int32(ids[row * width + $0]) })
      for column in 1..<length {
        nodes.append(Int32(count + column))
        pairs.append([row * width + column])
      }
      count += length
    }
    return GoldenBatch(
      forest: try TokenForest(sequences: sequences), nodes: nodes, pairs: pairs,
      old: try old ?? t.floats("old_logprobs"), ref: try ref ?? t.floats("ref_logprobs"),
      advantages: try t.floats("advantages"), weights: try t.floats("is_weights"), mask: try t.floats("loss_mask"))
  }

  /// The branched case: packed, or each trajectory a chain of its own.
  static func tree(_ t: GoldenTensors, flattened: Bool) throws -> GoldenBatch {
    let tokens = try t.integers("tokens")
    let leaves = try t.integers("leaf_nodes")
    let width = try t.shape("leaf_nodes")[1]
    let nodeOld = try t.floats("node_old_logprobs")
    let nodeRef = try t.floats("node_ref_logprobs")
    let (forest, nodeOf) = flattened ? try chains(tokens, leaves, width) : try packed(t, tokens, leaves)
    var pairs: [Int32: [Int]] = [:]
    for (pair, node) in nodeOf.enumerated() where node >= 0 && forest.parents[Int(node)] >= 0 {
      pairs[node, default: []].append(pair)
    }
    let nodes = pairs.keys.sorted()
    return GoldenBatch(
      forest: forest, nodes: nodes, pairs: nodes.map { pairs[$0] ?? [] },
      old: leaves.map { $0 < 0 ? 0 : nodeOld[$0] }, ref: leaves.map { $0 < 0 ? 0 : nodeRef[$0] },
      advantages: try t.floats("advantages"), weights: try t.floats("is_weights"), mask: try t.floats("loss_mask"))
  }

  /// The golden lists parents before children; the engine wants depth-first order.
  private static func packed(_ t: GoldenTensors, _ tokens: [Int], _ leaves: [Int]) throws -> (TokenForest, [Int32]) {
    let parents = try t.integers("parent")
    var children: [[Int]] = Array(repeating: [], count: tokens.count)
    for (i, parent) in parents.enumerated() where parent >= 0 { children[parent].append(i) }
    var order: [Int] = []
    var stack = Array(parents.indices.filter { parents[$0] < 0 }.reversed())
    while let node = stack.popLast() {
      order.append(node)
      stack += children[node].reversed()
    }
    var place = [Int32](repeating: -1, count: tokens.count)
    for (i, node) in order.enumerated() { place[node] = Int32(i) }
    let forest = try TokenForest(
      tokens: order.map { Int32(tokens[$0]) }, parents: order.map { parents[$0] < 0 ? -1 : place[parents[$0]] })
    return (forest, leaves.map { $0 < 0 ? -1 : place[$0] })
  }

  private static func chains(_ tokens: [Int], _ leaves: [Int], _ width: Int) throws -> (TokenForest, [Int32]) {
    var sequences: [[Int32]] = []
    var nodeOf = [Int32](repeating: -1, count: leaves.count)
    var count: Int32 = 0
    for row in stride(from: 0, to: leaves.count, by: width) {
      let path = leaves[row..<(row + width)].filter { $0 >= 0 }
      sequences.append(path.map { Int32(tokens[$0]) })
      for i in path.indices { nodeOf[row + i] = count + Int32(i) }
      count += Int32(path.count)
    }
    return (try TokenForest(sequences: sequences), nodeOf)
  }

  /// The loss and d loss / d log-probability of each scored node.
  func loss(_ logprobs: [Float], _ form: GoldenLoss) -> (loss: Double, gradients: [Float]) {
    let tokens = Double(mask.reduce(0, +))
    var total = 0.0
    let gradients = zip(logprobs, pairs).map { lp, pairs in
      var slope = 0.0
      for i in pairs where mask[i] != 0 {
        let term = form.term(lp, old: old[i], ref: ref[i], advantage: advantages[i], weight: weights[i])
        total += term.loss
        slope += term.slope
      }
      return Float(slope / tokens)
    }
    return (total / tokens, gradients)
  }

  /// Loss and gradients of the policy.
  func gradients(
    _ model: PolicyModel, _ form: GoldenLoss, budget: Int? = nil
  ) throws -> (loss: Double, logprobs: [Float], gradients: GradientBuffer) {
    let pass = try model.forward(
      forest, scoring: nodes, options: .init(keepsForBackward: true, activationBudget: budget))
    let (loss, slopes) = loss(pass.logprobs, form)
    let gradients = GradientBuffer(zerosLike: model.parameters)
    try pass.backward(logprobGradients: slopes, into: gradients)
    return (loss, pass.logprobs, gradients)
  }
}

/// ‖a - b‖ / ‖b‖.
func relativeDistance(_ a: [Float], _ b: [Float]) -> Double {
  var (difference, norm) = (0.0, 0.0)
  for (x, y) in zip(a, b) {
    difference += (Double(x) - Double(y)) * (Double(x) - Double(y))
    norm += Double(y) * Double(y)
  }
  return (difference / max(norm, 1e-300)).squareRoot()
}

func largestDifference(_ a: some Sequence<Float>, _ b: some Sequence<Float>) -> Float {
  zip(a, b).map { $0 == $1 ? 0 : abs($0 - $1) }.reduce(0) { $1 > $0 || $1.isNaN ? $1 : $0 }
}

extension ParameterSet {
  var all: [Float] { withValues { Array($0) } }
}
