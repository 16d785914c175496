import Foundation
import RolloutStore

/// How far scoring has come: a changing line on a terminal, a line now and then elsewhere.
final class RescoreProgress {
  private let traits = TerminalTraits.standardError
  private let start = ContinuousClock.now
  private var last = ContinuousClock.now
  private var isDrawn = false
  private let groups: Int
  private let units: Int
  private var doneGroups = 0
  private var doneUnits = 0
  private var tokens = 0

  init(_ pending: [PendingGroup]) {
    groups = pending.count
    units = pending.reduce(0) { $0 + $1.units }
  }

  /// - Parameter tokens: tokens that went through the policy so far.
  func advance(_ group: PendingGroup, tokens: Int) {
    doneGroups += 1
    doneUnits += group.units
    self.tokens = tokens
    let now = ContinuousClock.now
    guard (now - last).seconds >= (traits.isTTY ? 0.1 : 10) else { return }
    last = now
    isDrawn = true
    let seconds = max(1e-3, (now - start).seconds)
    let share = units > 0 ? Double(doneUnits) / Double(units) : 1
    let text =
      "\(Int(100 * share)) %, \(doneGroups) of \(traits.counted(groups, "group")), "
      + "\(traits.grouped(Int(Double(tokens) / seconds))) tokens/s, "
      + "\(ProgressLine.time(share > 0 ? seconds / share - seconds : 0)) left"
    FileHandle.standardError.write(Data((traits.isTTY ? "\r\(text)\u{1B}[K" : text + "\n").utf8))
  }

  /// Clears the line.
  func finish() {
    guard isDrawn, traits.isTTY else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K".utf8))
    isDrawn = false
  }

  /// What was done, for the last line.
  func summary(_ traits: TerminalTraits) -> String {
    guard doneGroups > 0 else { return "; nothing was left to do" }
    let seconds = max(1e-3, (ContinuousClock.now - start).seconds)
    return "; \(traits.counted(tokens, "token")) computed in \(decimals(seconds, 1)) s, "
      + "\(traits.grouped(Int(Double(tokens) / seconds))) a second"
  }
}
