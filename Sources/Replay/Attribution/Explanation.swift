/// A strategy's formula with the numbers of one token put in.
public struct Explanation: Sendable, Equatable {
  /// A named part of the formula.
  public struct Term: Sendable, Equatable {
    /// The name by which the formula calls it.
    public var symbol: String
    /// What it is.
    public var meaning: String
    /// How it comes about, in numbers; those of earlier terms among them.
    public var expression: Arithmetic
  }

  /// In the order in which they are needed; the last is the advantage.
  public private(set) var terms: [Term] = []
  /// Rules that took the formula's place, and where numbers come from that cannot be written out.
  public private(set) var notes: [String] = []
  /// Whether the token has an advantage at all.
  public private(set) var isDefined = true

  /// The advantage; `nil` if there is none.
  public var value: Double? { isDefined ? terms.last?.expression.value : nil }

  /// The value of a term.
  public subscript(symbol: String) -> Double? { terms.last { $0.symbol == symbol }?.expression.value }
}

/// The token that is explained.
public struct TokenPlace: Sendable, Hashable {
  /// Position of the trajectory in the group.
  public var leaf: Int
  /// Path index of a generated token.
  public var index: Int

  /// A token of a path.
  public init(leaf: Int, index: Int) {
    self.leaf = leaf
    self.index = index
  }
}

/// How strategies write explanations down.
extension Explanation {
  /// Adds a term and returns its value, to be used in later ones.
  @discardableResult
  mutating func define(_ symbol: String, _ meaning: String, _ expression: Arithmetic) -> Arithmetic {
    terms.append(Term(symbol: symbol, meaning: meaning, expression: expression))
    return .number(expression.value)
  }

  /// Adds a term that is a plain number.
  @discardableResult
  mutating func given(_ symbol: String, _ meaning: String, _ value: Double) -> Arithmetic {
    define(symbol, meaning, .number(value))
  }

  /// Adds a remark.
  mutating func note(_ text: String) { notes.append(text) }

  /// There is no advantage, and why.
  static func undefined(_ reason: String) -> Explanation {
    var out = Explanation()
    out.isDefined = false
    out.note(reason)
    return out
  }

  /// There is no advantage any more, and why.
  mutating func undefine(_ reason: String) {
    isDefined = false
    note(reason)
  }

  /// The weighted mean of values; of equal ones the first.
  @discardableResult
  mutating func mean(
    _ symbol: String, _ meaning: String, _ values: [Double], _ weights: [Int]
  ) -> Arithmetic {
    let n = weights.reduce(0, +)
    guard let first = values.first else { return given(symbol, meaning, .nan) }
    if areEqual(values) { return given(symbol, meaning + ", all equal", first) }
    let terms = zip(values, weights).map { $1 == 1 ? .number($0) : Arithmetic($1) * .number($0) }
    return define(symbol, meaning, .sum(terms) / Arithmetic(n))
  }

  /// The standard deviation of values around their mean, with divisor N - ddof; of equal ones 0.
  @discardableResult
  mutating func deviation(
    _ symbol: String, _ meaning: String, _ values: [Double], _ weights: [Int], mean: Arithmetic, divisorLess ddof: Int
  ) -> Arithmetic {
    let n = weights.reduce(0, +)
    if areEqual(values) { return define(symbol, meaning + ", all equal", 0) }
    let squares = zip(values, weights).map { x, w in
      let square = Arithmetic.power(.number(x) - mean, 2)
      return w == 1 ? square : Arithmetic(w) * square
    }
    let divisor = ddof == 0 ? Arithmetic(n) : Arithmetic(n) - Arithmetic(ddof)
    return define(symbol, meaning, .root(.sum(squares) / divisor))
  }
}

extension AttributionStrategy {
  /// Why a token has no advantage whatever the strategy; `nil` if it may have one.
  ///
  /// Strategies ask it first.
  func nothingToExplain(_ token: TokenPlace, _ group: AttributionGroup) -> Explanation? {
    let leaf = group.leaves[token.leaf]
    if leaf.reward == nil { return .undefined("\(leaf.id) has no reward: it has no advantage and takes part in none") }
    let unmet = group.unmet(needs)
    if !unmet.isEmpty { return .undefined("the log has no \(unmet.evidence.dropFirst(2).joined(separator: ", "))") }
    guard leaf.generated.contains(where: { $0.contains(token.index) }) else {
      var out = Explanation()
      out.note("token \(token.index) was inserted, not generated")
      out.define("A", "advantage of an inserted token", 0)
      return out
    }
    return nil
  }
}

extension AttributionGroup {
  /// Rewards and multiplicities of some leaves, those without a reward left out, and where a leaf stands among them.
  func scoredRewards(
    _ members: [Int], leaf: Int, reward: (AttributionLeaf) -> Double? = { $0.reward }
  ) -> (rewards: [Double], weights: [Int], at: Int) {
    let scored = members.filter { leaves[$0].reward != nil }
    return (
      scored.compactMap { reward(leaves[$0]) }, scored.map { leaves[$0].multiplicity }, scored.firstIndex(of: leaf) ?? 0
    )
  }
}
