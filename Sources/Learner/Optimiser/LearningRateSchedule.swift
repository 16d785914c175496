import Foundation

/// How the learning rate changes over a run.
///
/// A linear warm-up whose first update already has 1/warmup of the rate (transformers' schedules begin at 0 and waste
/// it), then constant, or a cosine down to a share of the rate at the last update.
public struct LearningRateSchedule: Sendable, Equatable {
  /// The shape after the warm-up.
  public enum Shape: String, Sendable, CaseIterable { case constant, cosine, linear }

  /// The shape after the warm-up.
  public var shape: Shape
  /// The highest rate.
  public var peak: Double
  /// Updates of the warm-up.
  public var warmup: Int
  /// Updates of the run.
  public var total: Int
  /// The rate at the end, as a share of the peak; not for constant.
  public var floor: Double

  /// A schedule.
  public init(shape: Shape = .constant, peak: Double, warmup: Int = 0, total: Int, floor: Double = 0) {
    self.shape = shape
    self.peak = peak
    self.warmup = warmup
    self.total = total
    self.floor = floor
  }

  /// The rate of an update, counted from 0.
  public func rate(update: Int) -> Double {
    if update < warmup { return peak * Double(update + 1) / Double(warmup) }
    let span = total - 1 - warmup
    let progress = span <= 0 ? 0 : min(1, Double(update - warmup) / Double(span))
    return switch shape {
    case .constant: peak
    case .cosine: peak * (floor + (1 - floor) * 0.5 * (1 + cos(.pi * progress)))
    case .linear: peak * (1 - (1 - floor) * progress)
    }
  }
}
