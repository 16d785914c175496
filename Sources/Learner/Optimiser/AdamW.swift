import Dispatch

/// AdamW with decoupled weight decay and bias correction (Loshchilov & Hutter, arXiv 1711.05101), as in torch.
///
/// For each element, in single precision: p -= lr wd p; m += (1 - b1)(g - m); v = b2 v + (1 - b2) g²;
/// p -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps). One parameter group: norms and biases decay too.
public struct OptimiserSettings: Sendable, Equatable {
  /// Decay of the first moment.
  public var beta1 = 0.9
  /// Decay of the second moment.
  public var beta2 = 0.999
  /// Added to the root of the second moment.
  public var epsilon = 1e-8
  /// Decoupled weight decay.
  public var weightDecay = 0.01
  /// Global gradient norm above which gradients are scaled down; `nil` = never.
  public var maxGradientNorm: Double? = 1

  /// torch's defaults, clipping at 1.
  public init() {}
}

/// The state of AdamW and its step.
public final class AdamW {
  /// The parameters.
  public let settings: OptimiserSettings
  /// Steps taken.
  public private(set) var step: Int
  /// First moments.
  public let first: ParameterBuffer
  /// Second moments.
  public let second: ParameterBuffer

  /// No steps taken.
  public init(count: Int, settings: OptimiserSettings = OptimiserSettings()) {
    self.settings = settings
    step = 0
    first = ParameterBuffer(count: count)
    second = ParameterBuffer(count: count)
  }

  /// Goes on from a number of steps; the moments are to be filled in by the caller.
  public func resume(atStep step: Int) { self.step = step }

  /// Takes a step.
  ///
  /// - Parameters:
  ///   - policy: whose parameters change.
  ///   - gradient: in the flat layout of the policy's tensors.
  ///   - scale: the gradient counts times this, see ``GradientStatistics/clipFactor(maxNorm:)``.
  ///   - learningRate: of this step.
  public func update(
    _ policy: some ParameterStore, gradient: UnsafeBufferPointer<Float>, scale: Double, learningRate: Double
  ) {
    step += 1
    let bias1 = 1 - power(settings.beta1, step)
    let bias2 = 1 - power(settings.beta2, step)
    let constants = StepConstants(
      scale: Float(scale), keep: Float(1 - learningRate * settings.weightDecay), gain1: Float(1 - settings.beta1),
      decay2: Float(settings.beta2), gain2: Float(1 - settings.beta2), rate: Float(learningRate / bias1),
      rootBias2: Float(bias2.squareRoot()), epsilon: Float(settings.epsilon))
    for (index, tensor) in policy.tensors.enumerated() {
      policy.withTensor(index) { values in
        let part = tensor.range
        Self.apply(
          values, UnsafeBufferPointer(rebasing: gradient[part]),
          UnsafeMutableBufferPointer(rebasing: first.elements[part]),
          UnsafeMutableBufferPointer(rebasing: second.elements[part]), constants)
      }
    }
  }

  private struct StepConstants: Sendable {
    var scale, keep, gain1, decay2, gain2, rate, rootBias2, epsilon: Float
  }

  /// Elements are independent, so the split over threads changes nothing.
  private static func apply(
    _ p: UnsafeMutableBufferPointer<Float>, _ g: UnsafeBufferPointer<Float>, _ m: UnsafeMutableBufferPointer<Float>,
    _ v: UnsafeMutableBufferPointer<Float>, _ c: StepConstants
  ) {
    let block = 1 << 16
    nonisolated(unsafe) let (p, g, m, v) = (p, g, m, v)
    DispatchQueue.concurrentPerform(iterations: (p.count + block - 1) / block) { b in
      for i in (b * block)..<min((b + 1) * block, p.count) {
        let x = g[i] * c.scale
        let m1 = m[i] + (x - m[i]) * c.gain1
        let v1 = v[i] * c.decay2 + x * x * c.gain2
        m[i] = m1
        v[i] = v1
        p[i] = p[i] * c.keep - c.rate * (m1 / (v1.squareRoot() / c.rootBias2 + c.epsilon))
      }
    }
  }

  private func power(_ x: Double, _ n: Int) -> Double {
    var (result, base, left) = (1.0, x, n)
    while left > 0 {
      if left & 1 == 1 { result *= base }
      base *= base
      left >>= 1
    }
    return result
  }
}
