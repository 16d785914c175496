import Foundation
import RolloutStore

/// Progress of an import on stderr: a bar by stored bytes on a terminal, a line now and then elsewhere.
final class ProgressLine {
  private let traits: TerminalTraits
  private let start = ContinuousClock.now
  private var last: ContinuousClock.Instant?
  private var fileStart = ContinuousClock.now
  private var file = 0
  private var isDrawn = false
  private let isQuiet: Bool

  init(traits: TerminalTraits, quiet: Bool) {
    self.traits = traits
    isQuiet = quiet
  }

  func update(_ progress: ImportProgress) {
    guard !isQuiet else { return }
    let now = ContinuousClock.now
    if progress.file != file {
      file = progress.file
      fileStart = now
    }
    let wait = traits.isTTY ? 0.1 : 10.0
    if (now - (last ?? start)).seconds < wait { return }
    last = now
    let seconds = max(1e-3, (now - fileStart).seconds)
    let rate = Double(progress.uncompressedBytes) / seconds / 1e6
    var text = "\(progress.counts.records) records, \(Self.number(rate)) MB/s"
    if progress.counts.quarantined > 0 { text += ", \(progress.counts.quarantined) quarantined" }
    if progress.files > 1 { text = "[\(progress.file)/\(progress.files)] " + text }
    let name = Escaping.line(URL(filePath: progress.path).lastPathComponent, width: 28)
    guard let size = progress.size, size > 0 else { return draw("\(name) \(text)") }
    let share = min(1, Double(progress.bytesRead) / Double(size))
    let left = share > 0 ? seconds / share - seconds : 0
    text = "\(Int(share * 100)) %, \(text), \(Self.time(left)) left"
    draw(traits.isTTY ? "\(name) \(bar(share)) \(text)" : "\(name): \(text)")
  }

  /// Clears the bar.
  func finish() {
    guard isDrawn, traits.isTTY else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K".utf8))
    isDrawn = false
  }

  private func draw(_ text: String) {
    isDrawn = true
    FileHandle.standardError.write(Data((traits.isTTY ? "\r\(text)\u{1B}[K" : text + "\n").utf8))
  }

  private func bar(_ share: Double) -> String {
    let width = 20
    let done = Int(share * Double(width))
    let (full, empty) = traits.unicode ? ("━", "─") : ("#", "-")
    return String(repeating: full, count: done) + String(repeating: empty, count: width - done)
  }

  private static func number(_ x: Double) -> String { String(format: x < 10 ? "%.1f" : "%.0f", x) }

  static func time(_ seconds: Double) -> String {
    let s = Int(seconds.rounded())
    return s < 3600
      ? String(format: "%d:%02d", s / 60, s % 60) : String(format: "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60)
  }
}
