import ArgumentParser
import Foundation
import RolloutLogs

/// Import and audit against the Python scripts of a folder.
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Import and audit of one log, in turns with other programs.")

  @Argument(help: "A native log with top-k logprobs.")
  var log: String

  @Option(help: "Folder with native_sqlite.py and py_entropy.py.")
  var peers: String?

  @Option(help: "Rounds; each runs everything once.")
  var rounds = 5

  @Option(help: "Parsers of native_sqlite.py to compare with.")
  var parsers = "orjson,simdjson"

  func run() throws {
    let tool = try tool()
    let scratch = try Scratch()
    var times: [String: [Double]] = [:]
    var memory: [String: Double] = [:]
    var tokens: [String: Double] = [:]
    var order: [String] = []
    func note(_ name: String, _ seconds: Double, _ run: Run, tokensPerSecond: Double? = nil) {
      if times[name] == nil { order.append(name) }
      times[name, default: []].append(seconds)
      memory[name] = max(memory[name] ?? 0, run.memory)
      if let tokensPerSecond { tokens[name] = max(tokens[name] ?? 0, tokensPerSecond) }
    }
    func checked(_ run: Run, _ what: String) throws -> Run {
      guard run.status == 0 else { throw ValidationError("\(what) failed with status \(run.status)") }
      return run
    }

    let bytes = Double(try LogInput.uncompressedSize(of: log))
    var flat = 0.0
    for round in 1...max(1, rounds) {
      FileHandle.standardError.write(Data("round \(round) of \(rounds)\n".utf8))
      scratch.remove("ours.db")
      let ours = try checked(
        Spawn.run([tool, "import", scratch.path("ours.db"), log, "--quiet", "--format", "json"]), "import")
      note("import: arpo-replay, whole process", ours.seconds, ours)
      if let peers {
        for parser in parsers.split(separator: ",").map(String.init) {
          let db = scratch.path("\(parser).db")
          let run = try checked(
            Spawn.run(
              ["python3", "\(peers)/native_sqlite.py", log, db, parser], environment: ["RAW_BYTES": "\(Int(bytes))"]),
            "native_sqlite.py \(parser)")
          let fields = run.output.split(separator: "\t")
          // Its own clock leaves out that Python starts, which a user waits for as well.
          note("import: python \(parser), by its own clock", fields.count > 2 ? Double(fields[2]) ?? .nan : .nan, run)
          note("import: python \(parser), whole process", run.seconds, run)
        }
      }
      let audit = try checked(Spawn.run([tool, "audit", scratch.path("ours.db"), "--format", "json"]), "audit")
      note("audit: arpo-replay, whole process", audit.seconds, audit)
      let plain = try checked(
        Spawn.run([tool, "audit", scratch.path("ours.db"), "--format", "json", "--bootstrap", "0"]), "audit")
      if let peers {
        let run = try checked(
          Spawn.run(["python3", "\(peers)/py_entropy.py", scratch.path("\(parsers.split(separator: ",")[0]).db")]),
          "py_entropy.py")
        for line in run.output.split(separator: "\n") {
          let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
          guard fields.count >= 8, fields[1] == "entropy", let s = Double(fields[2]), let n = Double(fields[5]) else {
            continue
          }
          note("entropy: numpy, \(fields[7])", s, run, tokensPerSecond: n)
          flat = max(flat, (n * s).rounded())
        }
      }
      let phase = try checked(
        Spawn.run([CommandLine.arguments[0], "entropy", scratch.path("ours.db"), "--repeats", "1"]), "entropy")
      let seconds = phase.output.split(separator: "\t").dropFirst(2).first.flatMap { Double($0) } ?? .nan
      note(
        "entropy: arpo-replay, from the database", seconds, phase,
        tokensPerSecond: flat > 0 ? flat / seconds : nil)
      note(
        "entropy: arpo-replay, audit with all that it computes, whole process", plain.seconds, plain,
        tokensPerSecond: flat > 0 ? flat / plain.seconds : nil)
    }

    print("log: \(fixed(bytes / 1e6, 1)) MB of JSON, \(fixed(Double(size(log)) / 1e6, 1)) MB stored")
    print(
      "database: \(fixed(Double(size(scratch.path("ours.db"))) / 1e6, 1)) MB, "
        + "\(fixed(Double(size(scratch.path("ours.db"))) / Double(size(log)), 3)) of the log as stored")
    print("| what | median s | min s | MB/s | tokens/s (best) | peak MiB | times ours |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in order {
      guard let values = times[name] else { continue }
      let kind = String(name.prefix { $0 != ":" })
      let ours = order.first { $0.hasPrefix("\(kind): arpo-replay") }
      let ratios = ours.flatMap { times[$0] }.map { zip(values, $0).map { $0 / $1 } } ?? []
      let rate = kind == "import" ? fixed(bytes / median(values) / 1e6, 0) : "-"
      print(
        "| \(name) | \(fixed(median(values), 3)) | \(fixed(values.min() ?? .nan, 3)) | \(rate) | "
          + "\(tokens[name].map { fixed($0 / 1e6, 2) + " M" } ?? "-") | \(fixed(memory[name] ?? .nan, 0)) | "
          + "\(fixed(median(ratios), 2)) |")
    }
  }
}
