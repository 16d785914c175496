import Foundation

extension UpdateBatch {
  /// Rewards, lengths and shapes of the update's groups, by verl's names.
  func describe() -> MetricList {
    var scores = Tally()
    var responses = Tally()
    var prompts = Tally()
    var cut = Tally()
    for tree in trees {
      for leaf in tree.leaves {
        let m = Double(leaf.multiplicity)
        if let reward = leaf.reward { scores.add(reward, weight: m) }
        responses.add(Double(leaf.length), weight: m)
        prompts.add(Double(tree.promptCount), weight: m)
        cut.add(leaf.isCutOff ? 1 : 0, weight: m)
      }
    }
    var out = MetricList()
    out.add("critic/score", scores)
    out.add("response_length", responses)
    out["response_length/clip_ratio"] = cut.mean
    out.add("prompt_length", prompts)
    out["tree/trees"] = Double(trees.count)
    out["tree/leaves"] = responses.isEmpty ? 0 : multiplicities.reduce(0, +)
    return out
  }
}

/// How fast and how large the process is; the only metrics that differ between equal runs.
enum PerformanceMetrics {
  /// - Parameters:
  ///   - tokens: of the update, without sharing.
  ///   - seconds: it took.
  static func list(tokens: Int, seconds: Double) -> MetricList {
    var out = MetricList()
    out["perf/total_num_tokens"] = Double(tokens)
    out["perf/time_per_step"] = seconds
    out["perf/throughput"] = seconds > 0 ? Double(tokens) / seconds : nil
    out["perf/cpu_memory_used_gb"] = Double(peakMemory) / 1e9
    return out
  }

  /// Peak resident bytes of the process.
  static var peakMemory: Int {
    var usage = rusage()
    #if os(Linux)
      getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
      return usage.ru_maxrss * 1024
    #else
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss
    #endif
  }
}
