import Foundation

/// Cosines and sines of the rotary embedding, [positions, headDimension / 2].
final class RotaryTable {
  private(set) var cosines: [Float] = []
  private(set) var sines: [Float] = []
  private let frequencies: [Float]

  init(_ config: PolicyConfig) {
    frequencies = config.rope.inverseFrequencies(headDimension: config.headDimension)
  }

  /// Makes the table cover these many positions.
  ///
  /// Angles are taken in double precision: at position 30 000 a float's are
  /// off by a thousandth.
  func cover(_ positions: Int) {
    let half = frequencies.count
    guard half > 0 else { return }
    for position in (cosines.count / half)..<max(cosines.count / half, positions) {
      for frequency in frequencies {
        let angle = Double(position) * Double(frequency)
        cosines.append(Float(cos(angle)))
        sines.append(Float(sin(angle)))
      }
    }
  }
}
