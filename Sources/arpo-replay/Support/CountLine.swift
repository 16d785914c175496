import Foundation
import RolloutStore

/// How far long work has come, in one changing line on stderr; silent unless that is a terminal.
final class CountLine {
  private let traits: TerminalTraits
  private let start = ContinuousClock.now
  private var last: ContinuousClock.Instant?
  private var isDrawn = false

  init(traits: TerminalTraits = .standardError) { self.traits = traits }

  /// Shows a text unless one was shown a moment ago.
  func update(_ text: @autoclosure () -> String) {
    guard traits.isTTY else { return }
    let now = ContinuousClock.now
    if (now - (last ?? start)).seconds < 0.1 { return }
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
