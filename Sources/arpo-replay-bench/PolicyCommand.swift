import ArgumentParser
import Foundation

/// Forward and backward passes of the policy engine against PyTorch, in turns.
struct PolicyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policy", abstract: "Scores and gradients of a policy, in turns with PyTorch.")

  @Option(help: "Shapes to run: \(PolicyBenchmark.Case.allCases.map(\.rawValue).joined(separator: ", ")).")
  var cases = "tiny,tree-tiny"

  @Option(help: "peer_torch.py to run in turns with.")
  var peer: String?

  @Option(help: "Rounds; each runs both programs once.")
  var rounds = 3

  @Option(help: "Timed steps a run.")
  var reps = 5

  @Option(help: "Threads of both programs.")
  var threads = 2

  @Flag(help: "Of trees the packed form alone.")
  var packedOnly = false

  @Option(help: "Bytes for the activations of the layers.")
  var budget: Int?

  @Option(help: ArgumentHelp("Runs the (only) case in this process, on a checkpoint's folder.", visibility: .hidden))
  var checkpoint: String?

  private struct PeerLine: Decodable {
    var variant: String?
    var step_s_median: Double?
    var step_s_min: Double?
    var peak_rss_gib: Double?
  }

  private struct Tally {
    var best: [Double] = []
    var medians: [Double] = []
    var peak = 0.0
    var tokens = 0
  }

  func run() throws {
    let shapes = try cases.split(separator: ",").map { name in
      guard let shape = PolicyBenchmark.Case(rawValue: String(name)) else {
        throw ValidationError("no case \(name)")
      }
      return shape
    }
    if let checkpoint, let shape = shapes.first {
      let benchmark = PolicyBenchmark(
        shape: shape, threads: threads, repetitions: reps, flattened: !packedOnly, budget: budget)
      let result = try benchmark.run(checkpoint: checkpoint)
      print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
      return
    }
    print(
      "| case | s best | s median | tokens/s best | peak GiB | PyTorch s best | s median | peak GiB | ratio of bests | ratio of medians |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for shape in shapes { try compare(shape) }
  }

  private func compare(_ shape: PolicyBenchmark.Case) throws {
    let scratch = try Scratch()
    try PolicyBenchmark(shape: shape, threads: threads, repetitions: reps).writeCheckpoint(to: scratch.url.path)
    var ours: [String: Tally] = [:]
    var theirs: [String: Tally] = [:]
    var order: [String] = []
    for round in 1...max(1, rounds) {
      FileHandle.standardError.write(Data("\(shape.rawValue), round \(round) of \(rounds)\n".utf8))
      var command = [
        CommandLine.arguments[0], "policy", "--cases", shape.rawValue, "--checkpoint", scratch.url.path, "--reps",
        "\(reps)", "--threads", "\(threads)",
      ]
      if let budget { command += ["--budget", "\(budget)"] }
      if packedOnly { command.append("--packed-only") }
      let run = try Spawn.run(command)
      guard run.status == 0 else { throw ValidationError("the case \(shape.rawValue) failed") }
      let result = try JSONDecoder().decode(PolicyBenchmark.Result.self, from: Data(run.output.utf8))
      for figure in result.figures {
        if ours[figure.variant] == nil { order.append(figure.variant) }
        var tally = ours[figure.variant] ?? Tally()
        tally.best.append(figure.seconds.first ?? .nan)
        tally.medians.append(median(figure.seconds))
        tally.peak = max(tally.peak, run.memory / 1024)
        tally.tokens = figure.tokens
        ours[figure.variant] = tally
      }
      if let peer { try add(try Spawn.run(peerCommand(peer, shape)), to: &theirs) }
    }
    for variant in order {
      guard let our = ours[variant] else { continue }
      row(shape, variant, our, theirs[Self.form(variant)])
      if Self.form(variant) == "packed", let flat = theirs["flattened"] {
        row(shape, "\(variant); PyTorch flattened", our, flat)
      }
    }
  }

  private func peerCommand(_ path: String, _ shape: PolicyBenchmark.Case) -> [String] {
    ["python3", path, "--case", shape.rawValue, "--reps", "\(reps)", "--threads", "\(threads)", "--no-wait"]
      + (packedOnly ? ["--tree-only"] : [])
  }

  /// What the two programs' variants are told apart by.
  private static func form(_ variant: String) -> String {
    ["flattened", "packed"].first { variant.contains($0) } ?? "batch"
  }

  /// The peer prints a line for each variant.
  private func add(_ run: Run, to tallies: inout [String: Tally]) throws {
    guard run.status == 0 else { throw ValidationError("the peer failed with status \(run.status)") }
    let lines = run.output.split(separator: "\n").compactMap {
      try? JSONDecoder().decode(PeerLine.self, from: Data($0.utf8))
    }
    let peak = lines.compactMap(\.peak_rss_gib).max() ?? .nan
    for line in lines {
      guard let variant = line.variant else { continue }
      var tally = tallies[Self.form(variant)] ?? Tally()
      tally.best.append(line.step_s_min ?? .nan)
      tally.medians.append(line.step_s_median ?? .nan)
      tally.peak = max(tally.peak, peak)
      tallies[Self.form(variant)] = tally
    }
  }

  private func row(_ shape: PolicyBenchmark.Case, _ variant: String, _ ours: Tally, _ theirs: Tally?) {
    let best = ours.best.min() ?? .nan
    let middle = median(ours.medians)
    let theirBest = theirs?.best.min() ?? .nan
    let theirMiddle = theirs.map { median($0.medians) } ?? .nan
    print(
      "| \(shape.rawValue): \(variant) | \(fixed(best, 4)) | \(fixed(middle, 4)) | "
        + "\(fixed(Double(ours.tokens) / best, 0)) | \(fixed(ours.peak, 2)) | \(fixed(theirBest, 4)) | "
        + "\(fixed(theirMiddle, 4)) | \(fixed(theirs?.peak ?? .nan, 2)) | \(fixed(theirBest / best, 2)) | "
        + "\(fixed(theirMiddle / middle, 2)) |")
  }
}
