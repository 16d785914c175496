import Foundation

/// Rotary position embedding: the base of the frequencies and how they are scaled.
public struct RoPESettings: Sendable, Equatable {
  /// How frequencies are changed for contexts longer than the model was first trained on.
  public enum Scaling: Sendable, Equatable {
    case `default`
    /// All frequencies divided by the factor.
    case linear(factor: Float)
    /// Llama 3.1: long wavelengths divided by the factor, short ones kept, smooth between.
    case llama3(factor: Float, lowFrequencyFactor: Float, highFrequencyFactor: Float, originalMaxPositions: Int)
  }

  /// Base of the geometric row of wavelengths.
  public var theta: Float
  public var scaling: Scaling

  public init(theta: Float, scaling: Scaling = .default) {
    self.theta = theta
    self.scaling = scaling
  }

  /// Radians a position, one for each pair of dimensions: `headDimension / 2` values.
  ///
  /// Computed in float32 with the formulas of transformers (`modeling_rope_utils.py`: `_compute_default_rope_parameters`,
  /// `_compute_linear_scaling_rope_parameters`, `_compute_llama3_parameters`), so that they have its rounding.
  public func inverseFrequencies(headDimension: Int) -> [Float] {
    (0..<(headDimension / 2)).map { i in
      let frequency = 1 / pow(theta, Float(2 * i) / Float(headDimension))
      switch scaling {
      case .default: return frequency
      case .linear(let factor): return frequency / factor
      case .llama3(let factor, let low, let high, let original):
        let old = Float(original)
        let wavelength = 2 * Float.pi / frequency
        if wavelength > old / low { return frequency / factor }
        if wavelength < old / high { return frequency }
        let smooth = (old / wavelength - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency
      }
    }
  }
}
