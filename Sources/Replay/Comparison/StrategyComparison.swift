/// Compares columns of advantages over the groups of one run: every pair of them, and where each puts its credit.
///
///     var comparison = StrategyComparison(names: ["arpo-hard", "grpo:verl"], run: "r1")
///     for group in groups { try comparison.add(GroupComparison(group, columns, disagreements: 3)) }
///     let report = try comparison.finish()
///
/// Sums of pairs are updated in place, see ``GroupSums`` for their intervals. Ranks need all pairs of values: they are kept as (x, y, number of tokens) until a
/// limit, and beyond it in temporary files, sorted there; see ``RankCorrelation``.
public struct StrategyComparison {
  /// Points of all pairs together that stay in memory.
  private static let pointsInMemory = 1 << 20

  private enum Sum: Hashable, Sendable {
    /// Count, x, y, xx, yy, xy of a pair.
    case moment(Int, Int)
    case flips(Int)
    case delta(Int)
    case tokens(Int)
    case zeros(Int)
    case columnTokens(Int)
    case credit(Int)
    case part(Int, CreditPart)
  }

  private struct PairState {
    var moments = PairMoments()
    var flips = 0
    var delta = 0.0
    var largest = 0.0
    var differing = 0
    var differingGroups = 0
    var groups = 0
    var ranks: RankCorrelation
    var disagreements: [Disagreement] = []
  }

  private struct ColumnState {
    var tokens = 0
    var zeros = 0
    var groups = 0
    var groupsWithoutSignal = 0
    var shares = CreditShares()
  }

  private let names: [String]
  private let mostDisagreements: Int
  private let replicates: Int
  private var pairs: [PairState]
  private var columns: [ColumnState]
  private var sums: GroupSums<Sum>
  private let emptyRankSums: GroupSums<Int>
  private var groups = 0
  private var trajectories = 0
  private var scored = 0
  private var generated = 0

  /// - Parameters:
  ///   - names: of the columns.
  ///   - run: goes into the bootstrap's draws.
  ///   - replicates: of the bootstrap; 0: no intervals.
  ///   - disagreements: kept of each pair.
  ///   - spill: where points go that do not fit in memory; `nil`: they stay.
  public init(
    names: [String], run: String, replicates: Int = 1000, seed: UInt64 = 0, disagreements: Int = 3,
    spill: SpillFactory? = nil
  ) {
    self.init(
      names: names, run: run, replicates: replicates, seed: seed, disagreements: disagreements,
      pointsInMemory: Self.pointsInMemory, spill: spill)
  }

  init(
    names: [String], run: String, replicates: Int, seed: UInt64, disagreements: Int, pointsInMemory: Int,
    sumsInMemory: Int? = nil, spill: SpillFactory?
  ) {
    self.names = names
    self.replicates = replicates
    mostDisagreements = disagreements
    let count = names.count * (names.count - 1) / 2
    let limit = max(64, pointsInMemory / max(1, count))
    pairs = (0..<count).map { _ in PairState(ranks: RankCorrelation(limit: limit, spill: spill)) }
    columns = names.map { _ in ColumnState() }
    emptyRankSums = GroupSums(replicates: replicates, seed: seed, run: run)
    sums = GroupSums(replicates: replicates, seed: seed, run: run, cellsInMemory: sumsInMemory, spill: spill)
  }

  /// Adds what a group says; its columns are in the order of the names.
  ///
  /// - Throws: what the spill storage throws.
  public mutating func add(_ group: GroupComparison) throws {
    groups += 1
    trajectories += group.trajectories
    scored += group.scored
    generated += group.generated
    let draw = sums.draw(of: group.id)
    var values: [(name: Sum, value: Double)] = []
    for (c, column) in group.columns.enumerated() where column.hasValues {
      add(column, c, &values)
    }
    for (p, pair) in group.pairs.enumerated() where pair.moments.count > 0 {
      add(pair, p, &values)
      for point in pair.points {
        try pairs[p].ranks.add(point.x, point.y, weight: point.weight, group: draw.rawValue)
      }
    }
    try sums.add(draw, values)
  }

  private mutating func add(_ column: GroupComparison.Column, _ c: Int, _ values: inout [(name: Sum, value: Double)]) {
    columns[c].tokens += column.tokens
    columns[c].zeros += column.zeros
    columns[c].groups += 1
    if column.zeros == column.tokens { columns[c].groupsWithoutSignal += 1 }
    columns[c].shares += column.shares
    values.append((.zeros(c), Double(column.zeros)))
    values.append((.columnTokens(c), Double(column.tokens)))
    values.append((.credit(c), column.shares.total))
    for (part, sum) in column.shares.parts { values.append((.part(c, part), sum)) }
  }

  private mutating func add(_ pair: GroupComparison.Pair, _ p: Int, _ values: inout [(name: Sum, value: Double)]) {
    pairs[p].moments.add(pair.moments)
    pairs[p].flips += pair.flips
    pairs[p].delta += pair.delta
    pairs[p].largest = max(pairs[p].largest, pair.largest)
    pairs[p].differing += pair.differing
    pairs[p].groups += 1
    if pair.differing > 0 { pairs[p].differingGroups += 1 }
    values.append((.tokens(p), Double(pair.moments.count)))
    values.append((.flips(p), Double(pair.flips)))
    values.append((.delta(p), pair.delta))
    var moments = RankMoments()
    for point in pair.points { moments.add(point.x, point.y, Double(point.weight)) }
    for (i, sum) in moments.sums.enumerated() { values.append((.moment(p, i), sum)) }
    pairs[p].disagreements += pair.disagreements
    // A stable order: equal ones stay as the groups came.
    let order = pairs[p].disagreements.enumerated().sorted { a, b in
      a.element.totalDelta != b.element.totalDelta
        ? a.element.totalDelta > b.element.totalDelta : a.offset < b.offset
    }
    pairs[p].disagreements = order.prefix(mostDisagreements).map(\.element)
  }

  /// The comparison of all that was added.
  ///
  /// - Throws: what the spill storage throws.
  public mutating func finish() throws -> ComparisonReport {
    var sums = sums
    var reports: [ComparisonReport.Pair] = []
    let places = names.indices.flatMap { b in (0..<b).map { a in (a, b) } }
    try sums.forEach(Array(places.indices), of: Self.names) { p, sums in
      reports.append(try report(p, places[p].0, places[p].1, sums))
    }
    var columns = names.indices.map(column)
    try sums.forEach(names.indices.flatMap(shares), of: \.names) { share, sums in
      let found = sums.ratio(share.names[0], over: share.names[1])
      if let part = share.part {
        columns[share.column].shares[part] = found
      } else {
        columns[share.column].zeroShare = found
      }
    }
    return ComparisonReport(
      groups: groups, trajectories: trajectories, scored: scored, generatedTokens: generated, columns: columns,
      pairs: reports)
  }

  /// The sums that a pair's estimates take.
  private static func names(_ p: Int) -> [Sum] { (0..<6).map { .moment(p, $0) } + [.flips(p), .delta(p), .tokens(p)] }

  /// A share of a column: of a part, or of the tokens without signal.
  private struct Share {
    var column: Int
    var part: CreditPart?

    /// The sum, and what it is a share of.
    var names: [Sum] {
      part.map { [.part(column, $0), .credit(column)] } ?? [.zeros(column), .columnTokens(column)]
    }
  }

  private func shares(_ c: Int) -> [Share] {
    let shares = columns[c].shares
    return [Share(column: c)] + (shares.total > 0 ? shares.parts.keys.map { Share(column: c, part: $0) } : [])
  }

  private func report(_ p: Int, _ a: Int, _ b: Int, _ sums: GroupSums<Sum>) throws -> ComparisonReport.Pair {
    let pair = pairs[p]
    let tokens = pair.moments.count
    var rankSums = emptyRankSums
    let hasIntervals = replicates > 0
    let spearman = try pair.ranks.finish(
      hasIntervals
        ? { group, moments in
          try rankSums.add(GroupDraw(rawValue: group), moments.sums.enumerated().map { (name: $0, value: $1) })
        } : nil)
    let share = tokens == 0 ? nil : Double(pair.flips) / Double(tokens)
    return ComparisonReport.Pair(
      a: names[a], b: names[b], tokens: tokens,
      pearson: sums.estimate(
        pair.moments.pearson, of: (0..<6).map { .moment(p, $0) }, needing: [.moment(p, 0)], RankMoments.correlation),
      spearman: rankSums.estimate(
        spearman, of: Array(0..<6), needing: [0], RankMoments.correlation),
      signFlip: share == nil ? Estimate() : sums.ratio(.flips(p), over: .tokens(p)),
      meanAbsDelta: sums.ratio(.delta(p), over: .tokens(p)), largestDelta: tokens == 0 ? nil : pair.largest,
      differingTokens: pair.differing, groups: pair.groups, differingGroups: pair.differingGroups,
      disagreements: pair.disagreements)
  }

  /// A column without its shares.
  private func column(_ c: Int) -> ComparisonReport.Column {
    let column = columns[c]
    return ComparisonReport.Column(
      name: names[c], tokens: column.tokens, zeroShare: Estimate(), groups: column.groups,
      groupsWithoutSignal: column.groupsWithoutSignal, totalAbs: column.shares.total, shares: [:])
  }
}
