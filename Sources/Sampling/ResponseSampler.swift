import AdaptiveRollout
public import Policy
public import Rollouts

/// Samples responses to a prompt.
public struct ResponseSampler {
  /// How tokens are drawn.
  public var settings = SamplingSettings()
  /// Tokens of a response at the most.
  public var maximumTokens = 256
  /// Ids that end a response and stand in it.
  public var endTokens: Set<Int32> = []
  /// Likely tokens to keep of each position.
  public var topLogprobs = 0

  /// Plain sampling.
  public init() {}

  /// Why a response ended, by the names that servers use.
  public enum Finish: String, Sendable {
    case stop
    case length
    case interrupted
  }

  /// A response and the numbers of its tokens.
  public struct Response: Sendable {
    public var draws: [TokenDraw]
    public var finish: Finish

    /// The ids.
    public var ids: [Int32] { draws.map(\.id) }
  }

  /// Samples responses to one prompt, all of them token by token together.
  ///
  /// - Parameters:
  ///   - prompt: at least one id.
  ///   - seed: decides all draws together with the number of a response.
  ///   - numbers: of the responses; each has draws of its own, whichever others are sampled beside it.
  ///   - didDraw: called with the position of a response in `numbers` and its next token; returns why to stop behind it (a stop
  ///     string, an interruption).
  public func sample(
    _ generator: Generator, prompt: [Int32], seed: UInt64, numbers: Range<Int>,
    didDraw: (Int, TokenDraw) throws -> Finish? = { _, _ in nil }
  ) throws -> [Response] {
    guard let first = numbers.first else { return [] }
    var states = try numbers.map { number in
      State(
        sequence: number == first ? try generator.begin([prompt])[0] : nil,
        random: SeededRandom(seed: seed, stream: "sample \(number)"))
    }
    defer { for state in states { if let sequence = state.sequence { generator.end(sequence) } } }
    for i in states.indices.dropFirst() { states[i].sequence = try states[0].sequence.map { try generator.fork($0) } }
    while true {
      var additions: [(sequence: Generator.Sequence, tokens: [Int32])] = []
      for i in states.indices where states[i].finish == nil {
        guard let sequence = states[i].sequence else { continue }
        let draw = TokenDraw(
          from: try generator.logits(sequence), settings, top: topLogprobs, using: &states[i].random)
        states[i].draws.append(draw)
        states[i].finish = try didDraw(i, draw)
        if states[i].finish == nil, endTokens.contains(draw.id) { states[i].finish = .stop }
        if states[i].finish == nil, states[i].draws.count >= maximumTokens { states[i].finish = .length }
        if states[i].finish == nil { additions.append((sequence, [draw.id])) }
      }
      if additions.isEmpty { break }
      try generator.append(additions)
    }
    return states.map { Response(draws: $0.draws, finish: $0.finish ?? .length) }
  }

  private struct State {
    var sequence: Generator.Sequence?
    var random: SeededRandom
    var draws: [TokenDraw] = []
    var finish: Finish?
  }
}

extension ResponseSampler.Response {
  /// The response as a native record, all of its tokens generated.
  public func record(group: String, id: String, index: Int, text: String?, withEntropies: Bool) -> TrajectoryRecord {
    var record = TrajectoryRecord(groupID: group, trajectoryID: id)
    record.rolloutIndex = index
    record.finishReason = finish.rawValue
    record.text = text
    var columns = TokenColumns(
      tokenIDs: ids, lossMask: draws.map { _ in 1 }, logprobs: RealColumn(floats: draws.map(\.logprob)))
    if draws.contains(where: { !$0.top.isEmpty }) {
      columns.topLogprobs = TopLogprobs(
        counts: draws.map { Int32($0.top.count) }, tokenIDs: draws.flatMap { $0.top.map(\.id) },
        logprobs: RealColumn(floats: draws.flatMap { $0.top.map(\.logprob) }))
    }
    if withEntropies {
      columns.entropies = RealColumn(floats: draws.map(\.entropy))
      record.entropyKind = "exact"
    }
    record.columns = columns
    return record
  }
}
