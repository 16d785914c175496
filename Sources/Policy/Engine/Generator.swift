internal import CPolicyKernels

/// Sequences that grow token by token: what a token needs of those before it is kept, and sequences that begin alike
/// share it.
///
/// Scores are those of ``PolicyModel/forward(_:scoring:options:)``, up to the rounding of float32. How a token is drawn
/// from the logits is up to the caller. Make a new generator when parameters have changed. Not safe to use from two
/// threads at once, nor while the model computes something else.
public final class Generator {
  /// One sequence of a generator.
  public struct Sequence: Hashable, Sendable {
    fileprivate let number: Int
  }

  private struct State {
    var run: KeyValueCache.Run
    /// Rows of the run that are this sequence's.
    var used: Int
    var length: Int
    /// Behind the last token.
    var logits: [Float]
  }

  private let model: PolicyModel
  private let cache: KeyValueCache
  private var states: [Sequence: State] = [:]
  private var count = 0

  public init(_ model: PolicyModel) {
    self.model = model
    cache = KeyValueCache(model.config, workspace: model.kernels.workspace)
  }

  /// Starts sequences, computed together.
  /// - Throws: ``PolicyError`` `mismatch` if one is empty or a token is not in the vocabulary, `notFinite` if a logit is
  ///   no finite number; then none is started.
  public func begin(_ batch: [[Int32]], interruption: (() throws -> Void)? = nil) throws -> [Sequence] {
    let started = batch.map { tokens in
      count += 1
      let sequence = Sequence(number: count)
      states[sequence] = State(run: cache.run(tokens.count, after: nil), used: 0, length: 0, logits: [])
      return sequence
    }
    do {
      try append(Array(zip(started, batch)), interruption: interruption)
    } catch {
      for sequence in started { end(sequence) }
      throw error
    }
    return started
  }

  /// A second sequence with the same tokens, which costs nothing until it grows.
  /// - Throws: ``PolicyError`` `mismatch` if the sequence has ended.
  public func fork(_ sequence: Sequence) throws(PolicyError) -> Sequence {
    let copy = try state(sequence)
    count += 1
    states[Sequence(number: count)] = copy
    return Sequence(number: count)
  }

  /// Forgets a sequence; what no other one shares is free again.
  public func end(_ sequence: Sequence) { states[sequence] = nil }

  /// Tokens of a sequence so far.
  public func length(_ sequence: Sequence) throws(PolicyError) -> Int { try state(sequence).length }

  /// Logits by token id of what follows a sequence, before any temperature.
  public func logits(_ sequence: Sequence) throws(PolicyError) -> [Float] { try state(sequence).logits }

  private func state(_ sequence: Sequence) throws(PolicyError) -> State {
    guard let state = states[sequence] else { throw PolicyError(.mismatch, "the sequence has ended") }
    return state
  }

  /// Adds tokens to sequences, all in one pass.
  /// - Throws: ``PolicyError`` `mismatch` if a sequence has ended or stands twice, has no tokens to add, or a token is
  ///   not in the vocabulary; `notFinite` if a logit is no finite number. Then the sequences are as they were.
  public func append(
    _ additions: [(sequence: Sequence, tokens: [Int32])], interruption: (() throws -> Void)? = nil
  ) throws {
    guard !additions.isEmpty else { return }
    guard Set(additions.map(\.sequence)).count == additions.count, additions.allSatisfy({ !$0.tokens.isEmpty }) else {
      throw PolicyError(.mismatch, "a sequence stands twice, or has nothing added")
    }
    let x = try model.embeddings(additions.flatMap(\.tokens))
    var states: [State] = []
    for addition in additions { states.append(try state(addition.sequence)) }
    var items: [Item] = []
    for (i, tokens) in additions.map(\.tokens).enumerated() {
      var state = states[i]
      // Rows behind another sequence's tokens are not this one's to fill.
      if state.used < state.run.used || state.used + tokens.count > state.run.rows.count {
        state.run = cache.run(tokens.count, after: (state.run, state.used))
        state.used = 0
      }
      items.append(
        Item(
          query: items.last.map { $0.query + $0.count } ?? 0, count: tokens.count, position: state.length,
          own: state.run.rows.lowerBound + state.used, seen: state.run.ranges(state.used)))
      state.used += tokens.count
      state.length += tokens.count
      // Taken already here, so that a fork in the same batch does not take the same rows.
      state.run.used = state.used
      states[i] = state
    }
    let logits: [Float]
    do {
      logits = try self.logits(x, items, interruption)
    } catch {
      for (i, state) in states.enumerated() { state.run.used = state.used - items[i].count }
      throw error
    }
    let size = model.config.vocabularySize
    for i in states.indices {
      states[i].logits = Array(logits[(i * size)..<((i + 1) * size)])
      self.states[additions[i].sequence] = states[i]
    }
  }

  /// New tokens of one sequence within a pass.
  private struct Item {
    /// First row among the pass's tokens, and how many.
    var query: Int
    var count: Int
    /// Position of the first.
    var position: Int
    /// Its row in the cache.
    var own: Int
    /// Rows of what comes before.
    var seen: [Range<Int>]
  }

  /// Logits behind the last token of each item.
  private func logits(
    _ embeddings: FloatBuffer, _ items: [Item], _ interruption: (() throws -> Void)?
  ) throws -> [Float] {
    let rows = items.reduce(0) { $0 + $1.count }
    var plan = AttentionPlan(rows: rows, capacity: cache.capacity)
    for item in items { plan.append(query: item.query, count: item.count, own: item.own, ranges: item.seen) }
    let positions = items.flatMap { item in (0..<item.count).map { Int32(item.position + $0) } }
    model.rotary.cover(Int(positions.max() ?? 0) + 1)
    let places = items.map { Layer.CachePlace(query: $0.query, count: $0.count, row: $0.own) }
    var x = embeddings
    for i in 0..<model.config.layerCount {
      try interruption?()
      let layer = Layer(
        config: model.config, kernels: model.kernels, weights: model.weights.layers[i], plan: plan,
        positions: positions, rotary: model.rotary)
      x = layer.output(x, keys: cache.keys[i], values: cache.values[i], places: places)
    }
    let logits = model.logits(x, rows: items.map { Int32($0.query + $0.count - 1) })
    guard logits.allSatisfy(\.isFinite) else { throw PolicyError(.notFinite, "a logit is not finite") }
    return logits
  }
}
