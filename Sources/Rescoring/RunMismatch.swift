public import Replay
import Rollouts

/// The comparison of one run's logprobs with recomputed ones.
public struct RunMismatch: Sendable {
  public let run: ReplayRun
  public private(set) var all = MismatchStatistics()
  /// By model call of the path, from 0.
  public private(set) var turns: [MismatchStatistics] = []
  /// The tokens that differ most, the largest difference first.
  public private(set) var worst: [MismatchToken] = []
  /// Generated tokens that have a recomputed value and no logged one.
  public private(set) var notLogged = 0
  /// Generated tokens without a recomputed value.
  public private(set) var notRecomputed = 0
  /// Trajectories whose log has text only.
  public private(set) var textOnly = 0
  /// Compared tokens of trajectories whose prompt's ids are not in the log.
  public private(set) var withoutPromptIDs = 0
  /// Temperature of the recomputed values.
  public let temperature: Double
  private let worstCount: Int

  /// - Parameter worst: how many of the tokens that differ most are kept.
  public init(_ run: ReplayRun, temperature: Double, worst: Int) {
    self.run = run
    self.temperature = temperature
    worstCount = worst
  }

  /// Whether both kinds of values belong to one temperature; else they cannot be compared.
  public var isComparable: Bool { abs(temperature - run.logprobTemperature) <= 1e-9 * temperature }

  public var verdict: MismatchVerdict { isComparable ? all.verdict : .unknown }

  /// A trajectory's recomputed values, aligned with its own tokens.
  public struct Recomputed: Sendable {
    public var logprobs: [Float]
    /// Ids as scored; `nil`: as logged.
    public var tokenIDs: [Int32]?
    public var prompt: PromptSource

    public init(logprobs: [Float], tokenIDs: [Int32]?, prompt: PromptSource) {
      self.logprobs = logprobs
      self.tokenIDs = tokenIDs
      self.prompt = prompt
    }
  }

  /// Adds a group: each stored token once, however many paths go through it.
  /// - Parameter recomputed: by trajectory; `nil` where there are no values that align with the log's tokens.
  /// - Parameter body: gets every token that has both values.
  public mutating func add(
    _ group: ReplayGroup, _ recomputed: [Recomputed?], _ body: (MismatchToken) throws -> Void = { _ in }
  ) throws {
    let tree = try RolloutTree(group)
    for (t, trajectory) in group.trajectories.enumerated() {
      guard let columns = trajectory.columns else {
        textOnly += 1
        continue
      }
      guard let values = recomputed[t], values.logprobs.count == columns.count else {
        notRecomputed += columns.lossMask.count { $0 != 0 }
        continue
      }
      let branch = tree.paths[t].storageBranch
      for (turn, range) in tree.paths[t].generation.enumerated() {
        for index in range.clamped(to: branch..<(branch + columns.count)) {
          let i = index - branch
          guard !values.logprobs[i].isNaN else {
            notRecomputed += 1
            continue
          }
          guard let logged = columns.logprobs?[i] else {
            notLogged += 1
            continue
          }
          let token = MismatchToken(
            group: group.id, step: group.step, trajectory: trajectory.id, turn: turn, index: index,
            token: values.tokenIDs?[i] ?? columns.tokenIDs[i], logged: logged, recomputed: Double(values.logprobs[i]))
          if values.prompt != .logged { withoutPromptIDs += 1 }
          take(token)
          try body(token)
        }
      }
    }
  }

  private mutating func take(_ token: MismatchToken) {
    all.add(logged: token.logged, recomputed: token.recomputed)
    while turns.count <= token.turn { turns.append(MismatchStatistics()) }
    turns[token.turn].add(logged: token.logged, recomputed: token.recomputed)
    guard worstCount > 0 else { return }
    let size = abs(token.difference)
    if worst.count == worstCount, let last = worst.last, abs(last.difference) >= size { return }
    let place = worst.firstIndex { abs($0.difference) < size } ?? worst.count
    worst.insert(token, at: place)
    if worst.count > worstCount { worst.removeLast() }
  }
}
