import RolloutStore

/// How a run was sampled, as far as it decides what importance weights on its log are worth.
struct LogSampling {
  private let run: String
  private let cuts: [String]
  /// `nil`: not logged.
  private let temperature: Double?
  private let isRaw: Bool

  /// The runs of a database, or some of them.
  static func runs(_ store: Store, _ wanted: some Collection<String>) throws -> [LogSampling] {
    var out: [LogSampling] = []
    try store.query(
      "SELECT run_id, top_p, top_k, temperature, logprobs_mode FROM run ORDER BY id", header: { _ in }
    ) { row in
      guard case .text(let run) = row[0], wanted.contains(run) else { return true }
      var cuts: [String] = []
      if case .double(let p) = row[1], p < 1 { cuts.append("top_p \(p)") }
      if case .int(let k) = row[2], k > 0 { cuts.append("top_k \(k)") }
      var temperature: Double?
      if case .double(let t) = row[3] { temperature = t }
      if case .int(let t) = row[3] { temperature = Double(t) }
      var isRaw = false
      if case .text(let mode) = row[4] { isRaw = mode.hasPrefix("raw") }
      out.append(LogSampling(run: run, cuts: cuts, temperature: temperature, isRaw: isRaw))
      return true
    }
    return out
  }

  /// What logprobs are divided by to weigh a log's tokens.
  enum Divisor {
    /// The log's own logprobs.
    case logged
    /// Those of a policy that is said to have written the log.
    case computed
    /// Nothing: tokens count as they are.
    case none
  }

  /// What a user must know before believing what is computed from the run's tokens.
  ///
  /// - Parameters:
  ///   - divisor: of importance weights.
  ///   - chosen: temperature of the policy; `nil`: that of the logged logprobs.
  func caveats(_ divisor: Divisor, temperature chosen: Double?) -> [String] {
    var out: [String] = []
    if !cuts.isEmpty, divisor != .none {
      out.append(
        "run \(run) was sampled with \(cuts.joined(separator: ", ")): what it cut off cannot be estimated, and its logged "
          + "probabilities are renormalised, the policies' are not")
    }
    guard let temperature, temperature > 0 else { return out }
    if divisor == .logged {
      if isRaw, temperature != 1 {
        out.append(
          "run \(run) logs raw logprobs and was sampled at temperature \(temperature): the weights are not of the "
            + "distribution that was drawn from")
      }
    } else if let used = chosen ?? (isRaw ? 1 : nil), abs(used - temperature) > 1e-9 * temperature {
      out.append("run \(run) was sampled at temperature \(temperature), and counts as sampled at \(used)")
    }
    return out
  }

  /// Why a policy at some temperature cannot be divided by the log's logprobs; `nil`: it can, or the log does not say.
  func conflict(with temperature: Double) -> String? {
    let logged = isRaw ? 1 : self.temperature.map { $0 > 0 ? $0 : 1 }
    guard let logged, abs(logged - temperature) > 1e-9 * temperature else { return nil }
    return
      "the logprobs of run \(run) are of temperature \(logged)\(isRaw ? " (raw)" : ""), and cannot be compared with a "
      + "policy's at temperature \(temperature)"
  }
}
