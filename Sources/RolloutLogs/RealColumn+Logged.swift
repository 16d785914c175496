import Foundation
import Rollouts

extension RealColumn {
  /// A column of logged numbers, `nil` where the log has none, in the smallest precision that says what the log says.
  init(logged values: [Double?]) {
    var precision = Precision.float32
    for case .some(let value) in values where precision != .float64 {
      if Double(Float(value)) == value || value.isNaN { continue }
      precision = Self.hasNineDigits(value) ? .float32Decimal : .float64
    }
    if precision == .float64 {
      self.init(doubles: values.map { $0 ?? .nan })
    } else {
      self.init(floats: values.map { $0.map { Float($0) } ?? .nan }, precision: precision)
    }
  }

  /// True if the number is the double nearest to a decimal of at most nine significant digits.
  ///
  /// Scaled to a whole number of nine digits and back; both directions are exact or correctly rounded as long as the
  /// power of ten is (up to 10^22).
  private static func hasNineDigits(_ value: Double) -> Bool {
    let magnitude = value.magnitude
    guard magnitude > 1e-13, magnitude < 1e30 else { return magnitude == 0 }
    let shift = 8 - Int(log10(magnitude).rounded(.down))
    let scale = pow(10, Double(abs(shift)))
    let digits = (shift >= 0 ? magnitude * scale : magnitude / scale).rounded()
    guard digits <= 1e9 else { return false }
    return (shift >= 0 ? digits / scale : digits * scale) == magnitude
  }
}
