/// What a fork is worth, and whether dH predicts it.
public struct WorthReport: Sendable {
  /// A stretch of the forks, ordered by dH.
  public struct Bin: Sendable {
    /// Smallest and largest dH.
    public var from: Double
    /// See ``from``.
    public var to: Double
    /// Forks.
    public var forks: Int
    /// Mean variance of the branches' rewards.
    public var variance: Estimate
    /// Mean regret.
    public var regret: Estimate
  }

  /// The answer to a yes-or-no question.
  public enum Verdict: String, Sendable, Hashable {
    case yes
    /// The other way round.
    case opposite
    case cannotTell = "cannot tell"
  }

  /// Forks behind a tool result with two scored branches or more.
  public var forks = 0
  /// Those with dH.
  public var withChange = 0
  /// Mean over all of them.
  public var variance = Estimate()
  /// See ``variance``.
  public var regret = Estimate()
  /// Share of forks whose branches have different rewards.
  public var different = Estimate()
  /// Deciles of dH, or fewer stretches of about equal numbers where there are fewer than 50 forks.
  public var bins: [Bin] = []
  /// Mean variance above the median of dH minus that at or below it.
  public var varianceDifference = Estimate()
  /// The same of the regret.
  public var regretDifference = Estimate()
  /// Of pairs of forks of one group that differ in dH and in variance, the share in which the larger dH has the larger
  /// variance; 0.5 says nothing.
  public var concordance = Estimate()
  /// Pairs behind it.
  public var pairs = 0
  /// Groups with such a pair.
  public var pairedGroups = 0

  /// A bootstrap over fewer groups gives intervals that are too short to answer by.
  public static let fewestGroups = 20

  /// Whether branching pays more where dH is larger: by the interval of ``concordance``, which compares forks of one group
  /// only, as prompts differ in how much their rewards vary and in their entropies too.
  public var verdict: Verdict {
    guard pairedGroups >= Self.fewestGroups, let low = concordance.low, let high = concordance.high else {
      return .cannotTell
    }
    return low > 0.5 ? .yes : high < 0.5 ? .opposite : .cannotTell
  }

  /// No fork.
  public init() {}
}

/// What is kept of a run's forks.
struct WorthAccumulator {
  private enum Cell: Int, CaseIterable { case variance, regret, different, concordance }

  private let options: BranchingOptions
  private let run: String
  private var forks = 0
  private var pairedGroups = 0
  private var changes: SpillingValues
  private var records: SpillingRecords
  private var means: KeyedBootstrap<Int>

  init(options: BranchingOptions, run: String) {
    self.options = options
    self.run = run
    changes = SpillingValues(limit: 1 << 17, spill: options.spill)
    records = SpillingRecords(limit: 1 << 20, spill: options.spill)
    means = KeyedBootstrap(
      cells: Cell.allCases.count, replicates: options.bootstrapReplicates, seed: options.seed, run: run)
  }

  mutating func add(group: String, _ worth: [ForkWorth]) throws {
    if worth.isEmpty { return }
    forks += worth.count
    var sums = [MeanSum](repeating: MeanSum(), count: Cell.allCases.count)
    for fork in worth {
      sums[Cell.variance.rawValue].add(fork.variance)
      sums[Cell.regret.rawValue].add(fork.regret)
      sums[Cell.different.rawValue].add(fork.variance > 0 ? 1 : 0)
    }
    sums[Cell.concordance.rawValue] = concordance(worth)
    if sums[Cell.concordance.rawValue].count > 0 { pairedGroups += 1 }
    means.add(group: group, 0, sums)
    let known = worth.filter { $0.deltaH != nil }
    if known.isEmpty { return }
    try changes.append(known.compactMap(\.deltaH))
    var record = RecordWriter()
    record.write(group)
    record.write(known.count)
    for fork in known {
      record.write(fork.deltaH)
      record.write(fork.variance)
      record.write(fork.regret)
    }
    try records.append(record.bytes)
  }

  /// Pairs of forks of one group, which share its difficulty.
  private func concordance(_ forks: [ForkWorth]) -> MeanSum {
    var out = MeanSum()
    for (i, a) in forks.enumerated() {
      for b in forks[..<i] {
        guard let x = a.deltaH, let y = b.deltaH, x != y, a.variance != b.variance else { continue }
        out.add((x > y) == (a.variance > b.variance) ? 1 : 0)
      }
    }
    return out
  }

  func report() throws -> WorthReport {
    var out = WorthReport()
    out.forks = forks
    out.withChange = changes.count
    out.variance = means.estimate(0, Cell.variance.rawValue)
    out.regret = means.estimate(0, Cell.regret.rawValue)
    out.different = means.estimate(0, Cell.different.rawValue)
    out.concordance = means.estimate(0, Cell.concordance.rawValue)
    out.pairs = means.sums(0, Cell.concordance.rawValue).count
    out.pairedGroups = pairedGroups
    if changes.count >= 2 { try addBins(&out) }
    return out
  }

  private func addBins(_ out: inout WorthReport) throws {
    let count = changes.count
    let wanted = min(10, max(2, count / 5))
    var edges: [Double] = []
    for i in 1..<wanted {
      let edge = try changes.value(rank: i * count / wanted)
      if edges.last.map({ $0 < edge }) ?? true { edges.append(edge) }
    }
    let median = try changes.value(rank: (count - 1) / 2)
    var bins = KeyedBootstrap<Int>(cells: 2, replicates: options.bootstrapReplicates, seed: options.seed, run: run)
    // Variance above and below the median, then regret.
    var halves = KeyedBootstrap<Int>(cells: 4, replicates: options.bootstrapReplicates, seed: options.seed, run: run)
    var ranges: [Int: (low: Double, high: Double)] = [:]
    try records.forEach { bytes in
      var reader = RecordReader(bytes)
      let group = reader.string()
      var sums: [Int: [MeanSum]] = [:]
      var half = [MeanSum](repeating: MeanSum(), count: 4)
      for _ in 0..<reader.int() {
        let (change, variance, regret) = (reader.double(), reader.double(), reader.double())
        // A fork on an edge belongs to the stretch that begins there.
        let bin = edges.count { $0 <= change }
        var cells = sums[bin] ?? [MeanSum(), MeanSum()]
        cells[0].add(variance)
        cells[1].add(regret)
        sums[bin] = cells
        let range = ranges[bin] ?? (change, change)
        ranges[bin] = (min(range.low, change), max(range.high, change))
        half[change > median ? 0 : 1].add(variance)
        half[change > median ? 2 : 3].add(regret)
      }
      for (bin, cells) in sums.sorted(by: { $0.key < $1.key }) { bins.add(group: group, bin, cells) }
      halves.add(group: group, 0, half)
    }
    out.bins = ranges.keys.sorted().compactMap { bin in
      ranges[bin].map {
        WorthReport.Bin(
          from: $0.low, to: $0.high, forks: bins.sums(bin, 0).count, variance: bins.estimate(bin, 0),
          regret: bins.estimate(bin, 1))
      }
    }
    out.varianceDifference = halves.difference(0, 0, minus: 1)
    out.regretDifference = halves.difference(0, 2, minus: 3)
  }
}
