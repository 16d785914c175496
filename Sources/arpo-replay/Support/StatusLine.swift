import Foundation
import RolloutStore

/// One changing line on stderr that says how far long work has come; silent unless that is a terminal.
final class StatusLine {
  private let traits: TerminalTraits
  private var last = ContinuousClock.now
  private var isDrawn = false

  init(traits: TerminalTraits = .standardError) { self.traits = traits }

  /// Shows a text unless one was shown a moment ago.
  func update(_ text: @autoclosure () -> String) {
    let now = ContinuousClock.now
    guard traits.isTTY, now - last > .milliseconds(100) else { return }
    last = now
    isDrawn = true
    FileHandle.standardError.write(Data("\r\(Escaping.line(text(), width: traits.width - 1))\u{1B}[K".utf8))
  }

  /// Clears the line.
  func finish() {
    guard isDrawn else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K".utf8))
    isDrawn = false
  }
}
