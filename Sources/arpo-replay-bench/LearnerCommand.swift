import ArgumentParser
import Foundation
import Learner
import Policy

/// Full updates of the learner on a tree against forward and backward passes of PyTorch, in turns.
struct LearnerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "learner",
    abstract: "Updates on a tree of 384 + 8 x 128 tokens, in turns with PyTorch.",
    discussion: """
      An update of ours is all that the learner does: laying out the batch, forward, loss (decoupled, k3), backward, \
      gradient norm, AdamW. PyTorch's figures are forward, loss and backward only.
      """)

  @Option(help: "peer_torch.py to run in turns with.")
  var peer: String?

  @Option(help: "Rounds; each runs both programs once.")
  var rounds = 3

  @Option(help: "Timed updates a run.")
  var reps = 5

  @Option(help: "Threads of both programs.")
  var threads = 2

  @Option(help: ArgumentHelp("Runs in this process, on a checkpoint's folder.", visibility: .hidden))
  var checkpoint: String?

  private struct Figure: Codable {
    var variant: String
    /// Seconds of an update.
    var seconds: [Double]
    /// Seconds of it without forward and backward.
    var around: [Double]
  }

  private struct PeerLine: Decodable {
    var variant: String?
    var step_s_median: Double?
    var step_s_min: Double?
  }

  private static let variants = ["flattened 8 x 512", "packed 384 + 8 x 128"]
  private static let flatTokens = 8 * 512

  func run() throws {
    if let checkpoint {
      let figures = try measure(checkpoint)
      return print(String(decoding: try JSONEncoder().encode(figures), as: UTF8.self))
    }
    let scratch = try Scratch()
    try PolicyBenchmark(shape: .treeTiny, threads: threads, repetitions: reps).writeCheckpoint(to: scratch.url.path)
    var ours = [[Figure]](repeating: [], count: 2)
    var theirs = [[PeerLine]](repeating: [], count: 2)
    for _ in 0..<max(1, rounds) {
      let run = try Spawn.run([
        CommandLine.arguments[0], "learner", "--checkpoint", scratch.url.path, "--reps", "\(reps)", "--threads",
        "\(threads)",
      ])
      guard run.status == 0 else { throw ValidationError("the learner failed") }
      for (i, figure) in try JSONDecoder().decode([Figure].self, from: Data(run.output.utf8)).enumerated() {
        ours[i].append(figure)
      }
      guard let peer else { continue }
      let other = try Spawn.run([
        "python3", peer, "--case", "tree-tiny", "--reps", "\(reps)", "--threads", "\(threads)", "--no-wait",
      ])
      guard other.status == 0 else { throw ValidationError("the peer failed with status \(other.status)") }
      let lines = other.output.split(separator: "\n").compactMap {
        try? JSONDecoder().decode(PeerLine.self, from: Data($0.utf8))
      }
      for (i, line) in lines.filter({ $0.variant != nil }).prefix(2).enumerated() { theirs[i].append(line) }
    }
    print("| update | s best | s median | flat tokens/s best | of it around the passes | PyTorch s best | s median |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (i, name) in Self.variants.enumerated() {
      let seconds = ours[i].flatMap(\.seconds)
      let best = seconds.min() ?? .nan
      print(
        "| \(name) | \(fixed(best, 4)) | \(fixed(median(seconds), 4)) | \(fixed(Double(Self.flatTokens) / best, 0)) | "
          + "\(fixed(median(ours[i].flatMap(\.around)), 4)) | "
          + "\(fixed(theirs[i].compactMap(\.step_s_min).min() ?? .nan, 4)) | "
          + "\(fixed(median(theirs[i].compactMap(\.step_s_median)), 4)) |")
    }
  }

  private func measure(_ folder: String) throws -> [Figure] {
    let checkpoint = try Checkpoint(directory: folder)
    let model = try PolicyModel(checkpoint, training: .everything, threads: threads)
    let optimiser = AdamW(count: model.parameterCount)
    let gradient = model.makeGradient()
    var objective = Objective(loss: Decoupled(PPOClip()))
    objective.kl = .k3
    objective.weights = BehaviourWeights()
    let computation = UpdateComputation(objective: objective, klCoefficient: 0.001)
    let clock = ContinuousClock()
    return try zip(Self.variants, [flattened, packed]).map { name, trees in
      var figure = Figure(variant: name, seconds: [], around: [])
      // Near what a policy of small random weights gives.
      let near = trees.map { [Float](repeating: -8, count: $0.trainedNodes.count) }
      for repetition in 0...reps {
        let begin = clock.now
        let batch = UpdateBatch(trees, objective: objective, proximal: near, reference: near)
        let bundles = try TreePacking(budget: 8192).bundles(trees)
        gradient.clear()
        let before = clock.now
        let statistics = try computation.run(model, batch, bundles, gradient: gradient)
        let after = clock.now
        let norm = gradient.withElements { GradientStatistics(UnsafeBufferPointer($0)) }
        gradient.withElements {
          optimiser.update(
            model, gradient: UnsafeBufferPointer($0), scale: norm.clipFactor(maxNorm: 1), learningRate: 1e-6)
        }
        guard statistics.notFinite == 0, norm.notFinite == 0 else { throw ValidationError("a number is not finite") }
        if repetition > 0 {
          figure.seconds.append((clock.now - begin) / .seconds(1))
          figure.around.append(((before - begin) + (clock.now - after)) / .seconds(1))
        }
      }
      return figure
    }
  }

  /// A chain of tokens behind a node.
  private func chain(_ count: Int, after node: Int, first: Int) -> [Int32] {
    var parents = [Int32](repeating: Int32(node), count: count)
    for i in 1..<count { parents[i] = Int32(first + i - 1) }
    return parents
  }

  private func tokens(_ range: Range<Int>) -> [Int32] { range.map { i in Int32(i * 37 % 4096) } }

  /// 384 shared tokens and eight trajectories of 128 trained ones.
  private var packed: [TrainingTree] {
    var parents = chain(384, after: -1, first: 0)
    var leaves: [TrainingLeaf] = []
    for branch in 0..<8 {
      let first = 384 + branch * 128
      parents += chain(128, after: 383, first: first)
      leaves.append(leaf(branch, nodes: first..<(first + 128)))
    }
    return [TrainingTree(label: "tree", tokens: tokens(0..<1408), parents: parents, promptCount: 384, leaves: leaves)]
  }

  private var flattened: [TrainingTree] {
    (0..<8).map { branch in
      let first = 384 + branch * 128
      return TrainingTree(
        label: "\(branch)", tokens: tokens(0..<384) + tokens(first..<(first + 128)),
        parents: chain(512, after: -1, first: 0), promptCount: 384, leaves: [leaf(branch, nodes: 384..<512)])
    }
  }

  private func leaf(_ branch: Int, nodes: Range<Int>) -> TrainingLeaf {
    let advantages: [Double] = nodes.map { n in Double((n * 7 + branch) % 11) / 5 - 1 }
    return TrainingLeaf(
      id: "\(branch)", multiplicity: 1, reward: nil, length: 128, end: Int32(nodes.upperBound - 1),
      nodes: nodes.map { Int32($0) }, advantages: advantages, behaviour: [Double](repeating: -8, count: 128))
  }
}
