/// A number of a strategy's formula.
public struct AttributionParameter: Sendable, Equatable {
  /// Its name, such as `epsilon`.
  public var name: String
  /// Its value; `nil` = it is off.
  public var value: Double?
  /// What it does.
  public var meaning: String
  /// The values that it can be set to; `nil` = the strategy fixes it.
  public var allowed: ClosedRange<Double>?
  /// Whether only whole numbers are allowed.
  public var isWhole: Bool

  /// A parameter with its value.
  public init(
    _ name: String, _ value: Double?, _ meaning: String, allowed: ClosedRange<Double>? = nil, isWhole: Bool = false
  ) {
    self.name = name
    self.value = value
    self.meaning = meaning
    self.allowed = allowed
    self.isWhole = isWhole
  }

  /// What is added to a standard deviation before something is divided by it.
  static func epsilon(_ value: Double, isSettable: Bool = false) -> AttributionParameter {
    AttributionParameter("epsilon", value, "added to the standard deviation", allowed: isSettable ? 0...1 : nil)
  }

  /// What N is less in a variance's divisor.
  static func ddof(_ value: Int, isSettable: Bool = false) -> AttributionParameter {
    AttributionParameter(
      "ddof", Double(value), "the variance is divided by N - ddof", allowed: isSettable ? 0...1 : nil, isWhole: true)
  }
}

/// A parameter that a strategy does not have, or not with this value.
public enum AttributionParameterError: Error, Equatable, CustomStringConvertible {
  /// The strategy has no such parameter, or it fixes it.
  case unknown(strategy: String, parameter: String, settable: [String])
  /// The value lies outside of what is allowed.
  case outOfRange(strategy: String, parameter: String, value: Double, allowed: ClosedRange<Double>, isWhole: Bool)

  /// The mistake as a sentence.
  public var description: String {
    switch self {
    case .unknown(let strategy, let parameter, let settable):
      "\(strategy) has no parameter \(parameter) to set"
        + (settable.isEmpty ? "" : "; it has: \(settable.joined(separator: ", "))")
    case .outOfRange(let strategy, let parameter, let value, let allowed, let isWhole):
      "\(strategy).\(parameter) is \(isWhole ? "a whole number " : "")"
        + "from \(DocumentValue.decimal(allowed.lowerBound)) to \(DocumentValue.decimal(allowed.upperBound)), "
        + "not \(DocumentValue.decimal(value))"
    }
  }
}

extension AttributionStrategy {
  /// The strategy with a parameter set to another value.
  ///
  /// - Throws: ``AttributionParameterError`` if it has no such parameter, or the value is not allowed.
  public func with(_ parameter: String, _ value: Double) throws(AttributionParameterError) -> any AttributionStrategy {
    guard let known = parameters.first(where: { $0.name == parameter }), let allowed = known.allowed else {
      throw .unknown(
        strategy: name, parameter: parameter, settable: parameters.filter { $0.allowed != nil }.map(\.name))
    }
    guard allowed.contains(value), !known.isWhole || value == value.rounded() else {
      throw .outOfRange(
        strategy: name, parameter: parameter, value: value, allowed: allowed, isWhole: known.isWhole)
    }
    return setting(parameter, to: value)
  }

  /// A parameter's value; `nil` if the strategy has none of the name, or it is off.
  public func parameter(_ name: String) -> Double? { parameters.first { $0.name == name }?.value }
}
