/// How often a prompt group counts in each replicate of a Poisson bootstrap: w ~ Poisson(1), drawn from (seed, run, group
/// id, replicate), so the order of groups does not matter.
struct BootstrapWeights: Sendable {
  let replicates: Int
  private let source: CounterHash
  private let seed: UInt64
  private let thresholds = poissonThresholds()

  init(replicates: Int, seed: UInt64, run: String) {
    self.replicates = replicates
    self.seed = seed
    var source = CounterHash(seed: seed)
    source.combine(run)
    self.source = source
  }

  /// A number that stands for a group: equal ids, equal numbers.
  func draw(of group: String) -> GroupDraw {
    var hash = source
    hash.combine(group)
    return GroupDraw(hash: hash)
  }

  /// The number of a group of some run, the same as in that run's own bootstrap: equal ids in two runs are two groups.
  func draw(of group: String, in run: String) -> GroupDraw {
    var hash = CounterHash(seed: seed)
    hash.combine(run)
    hash.combine(group)
    return GroupDraw(hash: hash)
  }

  /// The weights of one group in all replicates.
  func fill(_ weights: inout [Double], _ draw: GroupDraw) {
    for b in 0..<replicates { weights[b] = poisson(draw.hash.value(UInt64(b))) }
  }

  private func poisson(_ u: UInt64) -> Double {
    var k = 0
    while k < thresholds.count, u >= thresholds[k] { k += 1 }
    return Double(k)
  }
}

/// A group in a bootstrap.
struct GroupDraw: Sendable, Hashable {
  fileprivate let hash: CounterHash

  fileprivate init(hash: CounterHash) { self.hash = hash }

  /// The group with this number.
  init(rawValue: UInt64) { hash = CounterHash(state: rawValue) }

  /// The group as a number.
  var rawValue: UInt64 { hash.state }
}

/// P(w <= k) for w ~ Poisson(1), in units of 2^-64.
private func poissonThresholds() -> [UInt64] {
  var out: [UInt64] = []
  var term = 0.36787944117144233
  var sum = 0.0
  for k in 0..<18 {
    sum += term
    term /= Double(k + 1)
    let scaled = sum * 0x1p64
    out.append(scaled >= 0x1p64 ? .max : UInt64(scaled))
  }
  return out
}
