public import AdaptiveRollout
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

  /// Samples one response.
  ///
  /// - Parameters:
  ///   - prompt: at least one id.
  ///   - seed: decides all draws together with the number of the response.
  ///   - didDraw: called with each token; returns whether to stop behind it (a stop string, an interruption).
  public func sample(
    _ model: any SequenceModel, prompt: [Int32], seed: UInt64, number: Int,
    didDraw: (TokenDraw) throws -> Finish? = { _ in nil }
  ) throws -> Response {
    var random = SeededRandom(seed: seed, stream: "sample \(number)")
    let sequence = try model.begin(prompt)
    defer { model.end(sequence) }
    var draws: [TokenDraw] = []
    while draws.count < maximumTokens {
      let draw = TokenDraw(from: try model.next(sequence), settings, top: topLogprobs, using: &random)
      draws.append(draw)
      if let finish = try didDraw(draw) { return Response(draws: draws, finish: finish) }
      if endTokens.contains(draw.id) { return Response(draws: draws, finish: .stop) }
      if draws.count < maximumTokens { try model.append([draw.id], to: sequence) }
    }
    return Response(draws: draws, finish: .length)
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
