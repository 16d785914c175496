/// A column of reals, one for each position; `NaN` stands for "not in the log" and never for a number.
///
/// Logprobs come out of float32 arithmetic, so float32 holds them exactly; only a log that prints more digits than
/// a float32 has keeps doubles.
public struct RealColumn: Sendable, Equatable {
  /// How the stored numbers relate to the decimals in the log.
  public enum Precision: UInt8, Sendable {
    /// Every logged value is exactly a float32.
    case float32 = 0
    /// Every logged value has at most nine significant digits, which is what prints a float32.
    case float32Decimal = 1
    /// Some value needs a double.
    case float64 = 2
  }

  /// The values as float32.
  ///
  /// Empty if `precision` is `.float64`.
  public var floats: [Float]
  /// The values as doubles.
  ///
  /// Empty unless `precision` is `.float64`.
  public var doubles: [Double]
  public var precision: Precision

  public init(floats: [Float] = [], precision: Precision = .float32) {
    self.floats = floats
    self.doubles = []
    self.precision = precision
  }

  public init(doubles: [Double]) {
    self.floats = []
    self.doubles = doubles
    self.precision = .float64
  }

  public var count: Int { precision == .float64 ? doubles.count : floats.count }

  /// The value at a position, `nil` where the log has none.
  public subscript(index: Int) -> Double? {
    let x = precision == .float64 ? doubles[index] : Double(floats[index])
    return x.isNaN ? nil : x
  }

  /// All values as doubles, `NaN` where the log has none.
  public func widened() -> [Double] { precision == .float64 ? doubles : floats.map(Double.init) }

  /// The values of a range of positions.
  public func slice(_ range: Range<Int>) -> RealColumn {
    var out = self
    if precision == .float64 { out.doubles = Array(doubles[range]) } else { out.floats = Array(floats[range]) }
    return out
  }

  /// Appends the values of another column, widening both if either needs doubles.
  public mutating func append(_ other: RealColumn) {
    if precision == .float64 || other.precision == .float64 {
      if precision != .float64 { self = RealColumn(doubles: widened()) }
      doubles += other.widened()
    } else {
      floats += other.floats
      precision = max(precision, other.precision)
    }
  }

  /// Bitwise equality, so that two missing values are equal.
  public static func == (a: RealColumn, b: RealColumn) -> Bool {
    guard a.count == b.count else { return false }
    if a.precision != .float64, b.precision != .float64 {
      return a.floats.withUnsafeBytes { x in b.floats.withUnsafeBytes { y in x.elementsEqual(y) } }
    }
    return zip(a.widened(), b.widened()).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
  }
}

extension RealColumn.Precision: Comparable {
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// The most likely candidates at each position, flattened.
///
/// Position `i` has `counts[i]` candidates (0 = none were logged); those of all positions follow each other in
/// `tokenIDs` and `logprobs`, sorted or not. The sampled token need not be among them.
public struct TopLogprobs: Sendable, Equatable {
  public var counts: [Int32]
  /// Empty where they were left out, and then `places` says which candidates are the sampled tokens.
  public var tokenIDs: [Int32]
  public var logprobs: RealColumn
  /// By position: the place of the sampled token among its candidates, 255 if it is not one of them; empty unless the
  /// ids were left out.
  public var places: [UInt8] = []

  public init(counts: [Int32] = [], tokenIDs: [Int32] = [], logprobs: RealColumn = RealColumn()) {
    self.counts = counts
    self.tokenIDs = tokenIDs
    self.logprobs = logprobs
  }

  /// The candidates of a range of positions that starts at flat offset `offset`, and the offset behind them.
  public func slice(_ range: Range<Int>, from offset: Int) -> (TopLogprobs, next: Int) {
    let part = Array(counts[range])
    let n = part.reduce(0) { $0 + Int($1) }
    let flat = offset..<(offset + n)
    var out = TopLogprobs(
      counts: part, tokenIDs: tokenIDs.isEmpty ? [] : Array(tokenIDs[flat]), logprobs: logprobs.slice(flat))
    if !places.isEmpty { out.places = Array(places[range]) }
    return (out, offset + n)
  }

  /// Whether a candidate is the sampled token of its position.
  /// - Parameters:
  ///   - candidate: flat offset.
  ///   - position: its position, whose candidates begin at flat offset `first`.
  ///   - token: the sampled token's id.
  public func isSampled(_ candidate: Int, at position: Int, first: Int, token: Int32) -> Bool {
    if places.isEmpty { return tokenIDs[candidate] == token }
    return places[position] < 255 && Int(places[position]) == candidate - first
  }
}

/// What the log says about a run of tokens, as parallel columns.
public struct TokenColumns: Sendable, Equatable {
  /// One id per token.
  ///
  /// Ids are the tokenizer's, or, where `strings` is set, positions in `strings`.
  public var tokenIDs: [Int32]
  /// 1 = sampled by the policy, 0 = inserted (tool results).
  public var lossMask: [UInt8]
  /// Natural log-probability of the sampled token under the behaviour policy.
  public var logprobs: RealColumn?
  public var topLogprobs: TopLogprobs?
  /// Entropy in nats as the trainer logged it.
  public var entropies: RealColumn?
  /// Token texts that `tokenIDs` and the candidates refer to, for logs that give texts and no ids.
  public var strings: [TokenString]?

  public init(
    tokenIDs: [Int32] = [], lossMask: [UInt8] = [], logprobs: RealColumn? = nil, topLogprobs: TopLogprobs? = nil,
    entropies: RealColumn? = nil, strings: [TokenString]? = nil
  ) {
    self.tokenIDs = tokenIDs
    self.lossMask = lossMask
    self.logprobs = logprobs
    self.topLogprobs = topLogprobs
    self.entropies = entropies
    self.strings = strings
  }

  public var count: Int { tokenIDs.count }
}

/// A token known by its text.
///
/// Two tokens with the same text and different bytes are different tokens.
public struct TokenString: Sendable, Hashable {
  public var text: String
  /// The token's bytes where the log gives them and they are not the UTF-8 of `text` (byte-split characters).
  public var bytes: [UInt8]?

  public init(_ text: String, bytes: [UInt8]? = nil) {
    self.text = text
    self.bytes = bytes
  }
}
