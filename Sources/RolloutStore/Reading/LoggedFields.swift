import Replay
import RolloutLogs

extension LoggedAdvantages {
  /// `advantages` or `advantage` of a JSON object; `nil` if it has neither, or they are no numbers.
  init?(extra: String) {
    guard extra.contains("\"advantage"), let value = try? JSONValue(parsing: extra),
      let logged = value["advantages"] ?? value["advantage"]
    else { return nil }
    if let number = logged.double {
      self = .leaf(number)
    } else if case .array(let items) = logged, !items.isEmpty {
      // A list that holds anything but numbers and null is something else.
      var values: [Double] = []
      for item in items {
        if item == .null { values.append(.nan) } else if let x = item.double { values.append(x) } else { return nil }
      }
      self = .tokens(values)
    } else {
      return nil
    }
  }
}

extension BranchingSettings {
  /// The settings that a run's `branching` object names, defaults for the others.
  init(logged json: String?) {
    self.init()
    guard let json, let value = try? JSONValue(parsing: json) else { return }
    algorithm = value["algorithm"]?.string
    branchProbability = value["branch_probability"]?.double ?? branchProbability
    entropyWeight = value["entropy_weight"]?.double ?? entropyWeight
    // Numbers that no sampler can have used count as not named.
    func count(_ key: String, from least: Int) -> Int? {
      value[key]?.int.flatMap { (least...1_000_000).contains($0) ? $0 : nil }
    }
    windowTokens = count("window_tokens", from: 1) ?? windowTokens
    topK = count("top_k", from: 1) ?? topK
    alpha = value["alpha"]?.double ?? alpha
    tau = value["tau"]?.double ?? tau
    rollouts = count("rollouts", from: 1)
    initialRollouts = count("initial_rollouts", from: 0)
    beamSize = count("beam_size", from: 1)
    callLimit = count("call_limit", from: 0)
  }
}

extension LoggedBranch {
  /// A trajectory's `branch` object; `nil` without one.
  init?(logged json: String?) {
    guard let json, let value = try? JSONValue(parsing: json), value.members != nil else { return nil }
    self.init(value)
  }

  fileprivate init(_ value: JSONValue) {
    self.init()
    reason = value["reason"]?.string
    entropyInitial = value["entropy_initial"]?.double
    entropyNow = value["entropy_now"]?.double
    probability = value["probability"]?.double
    draw = value["draw"]?.double
  }
}

extension [LoggedDecision] {
  /// The `branch_decisions` among a trajectory's other keys; entries that do not say where they lie are left out.
  init(extra json: String?) {
    self = []
    guard let json, let entries = (try? JSONValue(parsing: json))?["branch_decisions"]?.array else { return }
    for entry in entries {
      guard let at = entry["at"]?.int else { continue }
      append(LoggedDecision(at: at, branch: LoggedBranch(entry), branched: entry["branched"]?.bool))
    }
  }
}
