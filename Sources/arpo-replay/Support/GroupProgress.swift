import Foundation

/// Progress over the groups of a database: a line on a terminal, nothing elsewhere.
final class GroupProgress {
  private let traits: TerminalTraits
  private let total: Int
  private var done = 0
  private var last = ContinuousClock.now
  private var isDrawn = false

  /// - Parameter total: groups to come; a group that is read twice counts twice, and then it says only how many.
  init(of total: Int, traits: TerminalTraits) {
    self.total = total
    self.traits = traits
  }

  func advance() {
    done += 1
    let now = ContinuousClock.now
    guard traits.isTTY, now - last > .milliseconds(100) else { return }
    last = now
    isDrawn = true
    let text = done <= total ? "\(done) of \(traits.counted(total, "group"))" : traits.counted(done, "group")
    FileHandle.standardError.write(Data("\r\(text)\u{1B}[K".utf8))
  }

  /// Clears the line.
  func finish() {
    guard isDrawn else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K".utf8))
    isDrawn = false
  }
}
