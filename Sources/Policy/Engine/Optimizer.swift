internal import CPolicyKernels
import Foundation

/// The settings of AdamW (Loshchilov and Hutter 2019) with decoupled weight decay, as `torch.optim.AdamW` names them.
public struct AdamWSettings: Sendable, Equatable {
  public var learningRate: Float
  public var beta1: Float
  public var beta2: Float
  public var epsilon: Float
  public var weightDecay: Float

  public init(
    learningRate: Float, beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8, weightDecay: Float = 0.01
  ) {
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
  }
}

extension PolicyModel {
  /// Sum of the squares of all numbers, in double precision; the same bits for any number of threads.
  public func sumOfSquares(_ set: ParameterSet) -> Double {
    policy_sum_of_squares(kernels.pool, set.buffer.pointer, Int64(set.count))
  }

  /// One AdamW step of the parameters.
  /// - Parameters:
  ///   - scale: What gradients are multiplied by first (global-norm clipping).
  ///   - step: 1 for the first step; corrects the moments' bias.
  ///   - firstMoment: m and, in `secondMoment`, v, zero before the first step; laid out as the parameters.
  /// - Throws: ``PolicyError`` `mismatch` if a layout is another.
  public func adamWStep(
    _ settings: AdamWSettings, step: Int, gradients: GradientBuffer, scale: Float = 1, firstMoment: ParameterSet,
    secondMoment: ParameterSet
  ) throws(PolicyError) {
    for set in [gradients, firstMoment, secondMoment] where set.layout != parameters.layout {
      throw PolicyError(.mismatch, "gradients or moments are laid out for other parameters")
    }
    func correction(_ beta: Float) -> Float { Float(1 - pow(Double(beta), Double(step))) }
    let s = policy_adamw_settings(
      lr: settings.learningRate, beta1: settings.beta1, beta2: settings.beta2, eps: settings.epsilon,
      decay: settings.weightDecay, scale: scale, correction1: correction(settings.beta1),
      correction2: correction(settings.beta2))
    policy_adamw(
      kernels.pool, s, gradients.buffer.pointer, Int64(parameters.count), parameters.buffer.pointer,
      firstMoment.buffer.pointer, secondMoment.buffer.pointer)
  }
}
