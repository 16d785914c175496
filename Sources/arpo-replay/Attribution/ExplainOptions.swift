import ArgumentParser
import Replay

/// Which token `--explain` is asked about.
struct ExplainOptions: ParsableArguments {
  @Flag(name: .customLong("explain"), help: "The formula with the numbers of one token put in.")
  var isAsked = false

  @Option(help: "--explain: the token's trajectory (default: the first with a signal).")
  var trajectory: String?

  @Option(help: "--explain: response index of the token (default: the trajectory's first generated one).")
  var token: Int?

  func validate() throws {
    if !isAsked, trajectory != nil || token != nil {
      throw ValidationError("--trajectory and --token say what to --explain")
    }
    if let token, token < 0 { throw ValidationError("--token is 0 or more") }
  }
}
