/// Arithmetic with its numbers in place: an explanation prints it, and its value is what the text says.
public indirect enum Arithmetic: Sendable, Equatable {
  case number(Double)
  case sum([Arithmetic])
  case difference(Arithmetic, Arithmetic)
  case product(Arithmetic, Arithmetic)
  case quotient(Arithmetic, Arithmetic)
  /// A whole power.
  case power(Arithmetic, Int)
  case root(Arithmetic)
  case smaller(Arithmetic, Arithmetic)

  /// The result.
  public var value: Double {
    switch self {
    case .number(let x): return x
    case .sum(let terms): return terms.reduce(0) { $0 + $1.value }
    case .difference(let a, let b): return a.value - b.value
    case .product(let a, let b): return a.value * b.value
    case .quotient(let a, let b): return a.value / b.value
    case .power(let a, let n):
      let base = a.value
      return (0..<n).reduce(1) { x, _ in x * base }
    case .root(let a): return a.value.squareRoot()
    case .smaller(let a, let b): return min(a.value, b.value)
    }
  }

  /// The text: `+ - * / ^`, parentheses, `sqrt(x)` and `min(x, y)`; numbers as the shortest decimals that read back.
  public var text: String { text(binding: 0) }

  /// Like ``text`` with long sums cut in their middle, for people.
  public var shortText: String { text(binding: 0, most: 8) }

  /// - Parameter binding: how tightly what stands around it binds: 1 sums, 2 products, 3 powers.
  private func text(binding: Int, most: Int = .max) -> String {
    func inside(_ a: Arithmetic, _ b: Int) -> String { a.text(binding: b, most: most) }
    let (own, text): (Int, String) =
      switch self {
      case .number(let x): (x < 0 || (x == 0 && x.sign == .minus) ? 1 : 4, DocumentValue.decimal(x))
      case .sum(let terms): (1, Self.joined(terms, most) { inside($0, 1) })
      case .difference(let a, let b): (1, inside(a, 1) + " - " + inside(b, 2))
      case .product(let a, let b): (2, inside(a, 2) + " * " + inside(b, 3))
      case .quotient(let a, let b): (2, inside(a, 2) + " / " + inside(b, 3))
      case .power(let a, let n): (3, inside(a, 4) + "^\(n)")
      case .root(let a): (4, "sqrt(" + inside(a, 0) + ")")
      case .smaller(let a, let b): (4, "min(" + inside(a, 0) + ", " + inside(b, 0) + ")")
      }
    // A number below 0 is a term of its own only where nothing stands before it.
    return own < binding || (own == 1 && binding == 1 && isNegativeNumber) ? "(\(text))" : text
  }

  private var isNegativeNumber: Bool {
    if case .number(let x) = self { x < 0 } else { false }
  }

  private static func joined(_ terms: [Arithmetic], _ most: Int, _ text: (Arithmetic) -> String) -> String {
    if terms.isEmpty { return "0" }
    if terms.count <= most { return terms.map(text).joined(separator: " + ") }
    let head = terms.prefix(most - 2).map(text) + ["… (\(terms.count - most + 1) more)"]
    return (head + [text(terms[terms.count - 1])]).joined(separator: " + ")
  }
}

extension Arithmetic {
  static func + (a: Arithmetic, b: Arithmetic) -> Arithmetic { .sum([a, b]) }
  static func - (a: Arithmetic, b: Arithmetic) -> Arithmetic { .difference(a, b) }
  static func * (a: Arithmetic, b: Arithmetic) -> Arithmetic { .product(a, b) }
  static func / (a: Arithmetic, b: Arithmetic) -> Arithmetic { .quotient(a, b) }
}

extension Arithmetic: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
  /// A number.
  public init(floatLiteral value: Double) { self = .number(value) }

  /// A whole number.
  public init(integerLiteral value: Int) { self = .number(Double(value)) }

  /// A count.
  init(_ count: Int) { self = .number(Double(count)) }
}
