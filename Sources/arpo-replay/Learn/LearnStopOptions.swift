import ArgumentParser
import Learner

/// When a run warns or stops.
struct LearnStopOptions: ParsableArguments {
  @Option(help: "Stop when the effective sample size falls below this share (a warning comes below 0.3).")
  var stopEss: Double?

  @Option(help: "Stop when |ppo_kl| exceeds this, nats a token (a warning comes above 0.1).")
  var stopKl: Double?

  @Option(help: "Stop when a larger share of the tokens is clipped (a warning comes above 0.5).")
  var stopClipShare: Double?

  @Option(help: "Stop when the gradient norm exceeds the recent median this many times (a warning comes above 10).")
  var stopGradSpike: Double?

  @Option(help: "Stop after so many updates in a row with numbers that are not finite; each is skipped.")
  var maxSkipped = 3

  func validate() throws {
    for (x, name) in [
      (stopEss, "--stop-ess"), (stopKl, "--stop-kl"), (stopClipShare, "--stop-clip-share"),
      (stopGradSpike, "--stop-grad-spike"),
    ] {
      if let x, !(x > 0 && x.isFinite) { throw ValidationError("\(name) is above 0") }
    }
    guard maxSkipped > 0 else { throw ValidationError("--max-skipped is 1 or more") }
  }

  var guards: TrainingGuards {
    var guards = TrainingGuards()
    guards.effectiveSample.stop = stopEss
    guards.kl.stop = stopKl
    guards.clipShare.stop = stopClipShare
    guards.gradientSpike.stop = stopGradSpike
    guards.skippedInARow = maxSkipped
    return guards
  }
}
