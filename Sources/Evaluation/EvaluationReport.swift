import Replay

/// A number with its 95 % interval over prompt groups.
public struct EvaluationEstimate: Sendable, Equatable {
  public var value: Double
  /// `nil` with fewer than two groups, or without a bootstrap.
  public var low: Double?
  public var high: Double?
  /// Groups that it stands on.
  public var groups: Int
}

/// Why estimates of the expected reward are refused.
public enum EvaluationRefusal: Sendable, Equatable {
  /// No leaf has a reward.
  case noRewards
  /// No scored leaf has logprobs of the policy that wrote the log.
  case noBehaviour
  /// The weights leave too few effective leaves.
  case effectiveSampleSize(share: Double, floor: Double)

  /// The name in data.
  public var name: String {
    switch self {
    case .noRewards: "no_rewards"
    case .noBehaviour: "no_behaviour_logprobs"
    case .effectiveSampleSize: "effective_sample_size"
    }
  }

  /// What is missing, and what would provide it.
  public var description: String {
    switch self {
    case .noRewards: "no leaf has a reward: import a log with rewards"
    case .noBehaviour:
      "the log has no logprobs of the policy that wrote it: log them, or say --behaviour before if the policy given wrote "
        + "the log itself"
    case .effectiveSampleSize(let share, let floor):
      "the effective sample size is \((share * 1000).rounded() / 10) % of the leaves, below the floor of "
        + "\((floor * 1000).rounded() / 10) % (--min-ess): the policies are too far apart for this log"
    }
  }
}

/// Adds up groups and reports.
public struct EvaluationReport: Sendable {
  /// The reward estimators by their names in data.
  public static let estimators = ["pdis", "snis", "dr"]

  private enum Cell {
    static let behaviour = 0
    static let before = 1
    static let after = 4
    static let change = 7
    static let marginBefore = 10
    static let marginAfter = 11
    static let marginChange = 12
    static let marginRaised = 13
    static let count = 14
  }

  private var means: GroupMeans
  private var windows: [String: WindowMeans] = [:]
  private let replicates: Int
  private let seed: UInt64
  private var sums = (before: WeightSums(), after: WeightSums())
  /// The least share of effective leaves of any group; `nil` until one is weighted.
  private var leastShare: (before: Double, after: Double)?
  /// Groups, leaves, unscored leaves and scored leaves without behaviour logprobs.
  public private(set) var counts = (groups: 0, leaves: 0, unscored: 0, withoutBehaviour: 0)
  /// Largest weight of any leaf after the update.
  public private(set) var maximumWeight = 0.0

  /// - Parameter replicates: of the bootstrap over groups; 0: no intervals.
  public init(replicates: Int = 1000, seed: UInt64 = 0) {
    means = GroupMeans(cells: Cell.count, replicates: replicates, seed: seed)
    self.replicates = replicates
    self.seed = seed
  }

  /// Adds a group.
  public mutating func add(_ group: GroupEvaluation) {
    counts.groups += 1
    counts.leaves += group.leaves
    counts.unscored += group.unscored
    counts.withoutBehaviour += group.withoutBehaviour
    var cells: [(cell: Int, sum: Double, count: Int)] = []
    if let rewards = group.rewards {
      cells.append((Cell.behaviour, rewards.behaviour, 1))
      for (e, pair) in zip(rewards.before.values, rewards.after.values).enumerated() {
        cells.append((Cell.before + e, pair.0, 1))
        cells.append((Cell.after + e, pair.1, 1))
        cells.append((Cell.change + e, pair.1 - pair.0, 1))
      }
      sums.before += rewards.before.weightSums
      sums.after += rewards.after.weightSums
      let (before, after) = (rewards.before.effectiveSampleShare, rewards.after.effectiveSampleShare)
      leastShare = (min(leastShare?.before ?? before, before), min(leastShare?.after ?? after, after))
      maximumWeight = max(maximumWeight, rewards.after.maximumWeight)
    }
    let margins = group.margins
    cells.append((Cell.marginBefore, margins.reduce(0) { $0 + $1.before }, margins.count))
    cells.append((Cell.marginAfter, margins.reduce(0) { $0 + $1.after }, margins.count))
    cells.append((Cell.marginChange, margins.reduce(0) { $0 + $1.after - $1.before }, margins.count))
    cells.append((Cell.marginRaised, Double(margins.count { $0.after > $0.before }), margins.count))
    means.add(run: group.run, group: group.id, cells)
    for (name, shift) in group.shifts {
      windows[name, default: WindowMeans(replicates: replicates, seed: seed)].add(group, shift)
    }
  }

  private func estimate(_ means: GroupMeans, _ cell: Int) -> EvaluationEstimate? {
    guard let mean = means.mean(cell) else { return nil }
    let interval = replicates > 0 ? means.interval(cell) : nil
    return EvaluationEstimate(value: mean, low: interval?.low, high: interval?.high, groups: means.groupCount(cell))
  }

  // MARK: Rewards

  /// Share of effective leaves over all groups, and by group.
  public struct Effective: Sendable, Equatable {
    /// Over all leaves: (sum d w)² / sum (d w)², as a share of that with all weights 1.
    public var share: Double
    /// The least share of any group.
    public var leastOfGroup: Double
    /// Mean of the weights by design: 1 in expectation.
    public var meanWeight: Double
  }

  /// The policies' effective sample sizes; `nil` where nothing is weighted.
  public var effective: (before: Effective, after: Effective)? {
    guard let leastShare else { return nil }
    return (
      Effective(
        share: sums.before.effectiveShare, leastOfGroup: leastShare.before,
        meanWeight: sums.before.weight / sums.before.design),
      Effective(
        share: sums.after.effectiveShare, leastOfGroup: leastShare.after,
        meanWeight: sums.after.weight / sums.after.design)
    )
  }

  /// Why no reward is estimated; `nil`: it can be.
  public func refusal(floor: Double) -> EvaluationRefusal? {
    guard let effective else {
      return counts.withoutBehaviour > 0 ? .noBehaviour : .noRewards
    }
    let share = min(effective.before.share, effective.after.share)
    return share < floor ? .effectiveSampleSize(share: share, floor: floor) : nil
  }

  /// The mean reward of the log itself, by design weights.
  public var behaviourReward: EvaluationEstimate? { estimate(means, Cell.behaviour) }

  /// By estimator: before, after, and the paired change.
  public var rewards:
    [(name: String, before: EvaluationEstimate, after: EvaluationEstimate, change: EvaluationEstimate)]
  {
    Self.estimators.enumerated().compactMap { e, name in
      guard let before = estimate(means, Cell.before + e), let after = estimate(means, Cell.after + e),
        let change = estimate(means, Cell.change + e)
      else { return nil }
      return (name, before, after, change)
    }
  }

  // MARK: Margins and windows

  /// Preference margins of sibling pairs: mean log pi(chosen) - log pi(rejected) before, after, its change (DPO's
  /// implicit reward margin over beta), and the share of pairs whose margin rose.
  public var margins:
    (
      pairs: Int, before: EvaluationEstimate, after: EvaluationEstimate, change: EvaluationEstimate,
      raised: EvaluationEstimate
    )?
  {
    guard let before = estimate(means, Cell.marginBefore), let after = estimate(means, Cell.marginAfter),
      let change = estimate(means, Cell.marginChange), let raised = estimate(means, Cell.marginRaised)
    else { return nil }
    return (means.count(Cell.marginBefore), before, after, change, raised)
  }

  /// A window's tokens under both policies.
  public struct Window: Sendable, Equatable {
    public var name: String
    /// Tokens, each of the tree once.
    public var tokens: Int
    /// Mean entropies, nats.
    public var entropyBefore: EvaluationEstimate
    public var entropyAfter: EvaluationEstimate
    /// Estimates of KL(before ‖ after) a token, nats: see ``PolicyShift``.
    public var k1: EvaluationEstimate
    public var k3: EvaluationEstimate
  }

  /// All tokens first, then the initial window, any tool, and the tools by name.
  public var windowRows: [Window] {
    func rank(_ name: String) -> Int {
      if name == GroupEvaluator.allTokens { return 0 }
      if name == GroupEvaluator.initial { return 1 }
      return name.hasPrefix("after any tool") ? 2 : 3
    }
    return windows.keys.sorted { (rank($0), $0) < (rank($1), $1) }.compactMap { name in
      guard let window = windows[name] else { return nil }
      let cells = (0..<4).compactMap { estimate(window.means, $0) }
      guard cells.count == 4 else { return nil }
      return Window(
        name: name, tokens: window.means.count(0), entropyBefore: cells[0], entropyAfter: cells[1], k1: cells[2],
        k3: cells[3])
    }
  }
}

/// Means over the tokens of one window.
private struct WindowMeans: Sendable {
  var means: GroupMeans

  init(replicates: Int, seed: UInt64) {
    means = GroupMeans(cells: 4, replicates: replicates, seed: seed)
  }

  mutating func add(_ group: GroupEvaluation, _ shift: PolicyShift) {
    means.add(
      run: group.run, group: group.id,
      [
        (0, shift.entropyBefore, shift.count), (1, shift.entropyAfter, shift.count), (2, shift.k1, shift.count),
        (3, shift.k3, shift.count),
      ])
  }
}

extension OffPolicyEstimates {
  /// In the order of ``EvaluationReport/estimators``.
  fileprivate var values: [Double] { [pdis, snis, dr] }
}
