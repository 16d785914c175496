/// Progress over the groups of a database: a line on a terminal, nothing elsewhere.
final class GroupProgress {
  private let traits: TerminalTraits
  private let total: Int
  private let line: StatusLine
  private var done = 0

  /// - Parameter total: groups to come; a group that is read twice counts twice, and then it says only how many.
  init(of total: Int, traits: TerminalTraits) {
    self.total = total
    self.traits = traits
    line = StatusLine(traits: traits)
  }

  func advance() {
    done += 1
    line.update(done <= total ? "\(done) of \(traits.counted(total, "group"))" : traits.counted(done, "group"))
  }

  /// Clears the line.
  func finish() { line.finish() }
}
