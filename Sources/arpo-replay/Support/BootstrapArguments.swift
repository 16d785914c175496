import ArgumentParser

/// Intervals over prompt groups.
struct BootstrapArguments: ParsableArguments {
  @Option(name: .customLong("bootstrap"), parsing: .unconditional, help: "Bootstrap replicates; 0 for no intervals.")
  var replicates = 1000

  @Option(help: "Seed of everything that is drawn.")
  var seed: UInt64 = 0

  func validate() throws {
    guard (0...100_000).contains(replicates) else { throw ValidationError("--bootstrap is 0 to 100000") }
  }
}
