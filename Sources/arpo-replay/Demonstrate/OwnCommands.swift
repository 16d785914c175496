import ArgumentParser
import Foundation

/// Runs this program's own commands, each in a process of its own, and keeps what they were and what they said.
///
/// `commands.sh` in the folder has every command as one can repeat it there.
final class OwnCommands {
  private let folder: String
  private let interruption: Interruption
  private var lines = ["#!/bin/sh", "# Every step of the demonstration, to be repeated in this folder."]

  init(folder: String, interruption: Interruption) {
    self.folder = folder
    self.interruption = interruption
  }

  /// Runs a command whose paths are relative to the folder; its output goes to `log` there.
  func run(_ arguments: [String], log: String) throws {
    if interruption.isRequested { throw ExitStatus.interrupted.code }
    lines.append((["arpo-replay"] + arguments).map(Self.quoted).joined(separator: " "))
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: folder + "/commands.sh"))
    guard let program = Bundle.main.executableURL else {
      throw DemonstrationError("the program does not know its own path")
    }
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: folder, directoryHint: .isDirectory)
    let path = folder + "/" + log
    guard FileManager.default.createFile(atPath: path, contents: nil) else {
      throw DemonstrationError("cannot write \(path)")
    }
    let output = try FileHandle(forWritingTo: URL(filePath: path))
    defer { try? output.close() }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    try process.run()
    process.waitUntilExit()
    if interruption.isRequested || process.terminationStatus == ExitStatus.interrupted.rawValue {
      throw ExitStatus.interrupted.code
    }
    guard process.terminationStatus == 0 else {
      let said = (try? String(contentsOfFile: path, encoding: .utf8))?.suffix(400) ?? ""
      throw DemonstrationError(
        "arpo-replay \(arguments.first ?? "") ended with \(process.terminationStatus), see \(path): \(said)")
    }
  }

  private static func quoted(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { c in
      (0x30...0x39).contains(c) || (0x41...0x5A).contains(c) || (0x61...0x7A).contains(c) || "-_./:=,".utf8.contains(c)
    }
    return isPlain && !text.isEmpty ? text : "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
  }
}

/// Why a demonstration cannot go on.
struct DemonstrationError: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}
