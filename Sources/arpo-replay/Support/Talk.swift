import ArgumentParser
import Foundation
import RolloutStore

/// What the tool says to the person, on stderr.
enum Talk {
  /// Lines of text; what stands in a log or a path cannot command the terminal.
  static func say(_ text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let safe = lines.map { terminalSafe(String($0), unicode: true) }.joined(separator: "\n")
    FileHandle.standardError.write(Data((safe + "\n").utf8))
  }

  static func warn(_ text: String) { say("warning: \(text)") }

  /// Runs a command's body; errors become one sentence and an exit code.
  static func guarded(_ body: () throws -> ExitStatus) throws {
    let status: ExitStatus
    do {
      status = try body()
    } catch let error as StoreError {
      say("error: \(error)")
      throw (error.kind == .busy ? ExitStatus.busy : .failed).code
    } catch let error as ExitCode {
      throw error
    } catch let error as ValidationError {
      throw error
    } catch {
      say("error: \(error)")
      throw ExitStatus.failed.code
    }
    if status != .ok { throw status.code }
  }
}
