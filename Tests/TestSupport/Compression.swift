public import Foundation

/// The programs `zstd` and `gzip`, so that what is read was written by others.
public enum Compression: String, Sendable, CaseIterable {
  case zstd
  case gzip

  /// The usual end of such a file's name.
  public var suffix: String { self == .zstd ? ".zst" : ".gz" }

  /// One frame or member a part, one behind the other.
  public func compress(_ parts: [Data]) throws -> Data {
    guard !parts.isEmpty else { return Data() }
    let folder = try TemporaryFolder()
    let files = try parts.enumerated().map { try folder.write($1, "part\($0)") }
    let run = try Spawned.run("/usr/bin/env", [rawValue, "-c"] + (self == .gzip ? ["-n"] : ["-q"]) + files)
    guard run.status == 0 else { throw CocoaError(.fileWriteUnknown) }
    return run.output
  }

  /// One frame or member.
  public func compress(_ data: Data) throws -> Data { try compress([data]) }
}

/// A program that ran to its end, whose output went through files so that no pipe can fill up.
public struct Spawned: Sendable {
  /// Exit code, or minus the number of the signal that ended it.
  public var status: Int32
  public var output: Data
  public var errors: String

  public var text: String { String(decoding: output, as: UTF8.self) }

  /// A program that is running.
  public final class Running {
    private let folder: TemporaryFolder
    private let process = Process()

    /// - Parameter pipe: what the program reads as it is written, instead of `input`.
    public init(
      _ program: String, _ arguments: [String], input: Data? = nil, pipe: Pipe? = nil,
      environment: [String: String] = [:], currentDirectory: URL? = nil
    ) throws {
      folder = try TemporaryFolder()
      process.executableURL = URL(filePath: program)
      process.arguments = arguments
      process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
      if let currentDirectory { process.currentDirectoryURL = currentDirectory }
      if let pipe {
        process.standardInput = pipe
      } else {
        process.standardInput = try FileHandle(forReadingFrom: URL(filePath: folder.write(input ?? Data(), "in")))
      }
      process.standardOutput = try FileHandle(forWritingTo: URL(filePath: folder.write(Data(), "out")))
      process.standardError = try FileHandle(forWritingTo: URL(filePath: folder.write(Data(), "err")))
      try process.run()
    }

    public var isRunning: Bool { process.isRunning }

    public func send(signal: Int32) { kill(process.processIdentifier, signal) }

    /// What it has said on stderr so far.
    public var errors: String { (try? String(contentsOf: folder.url.appending(path: "err"), encoding: .utf8)) ?? "" }

    /// Waits for its end; kills it after `seconds`.
    public func wait(seconds: Double = 120) throws -> Spawned {
      let deadline = Date.now + seconds
      while process.isRunning {
        if Date.now > deadline { kill(process.processIdentifier, SIGKILL) }
        usleep(500)
      }
      process.waitUntilExit()
      let status = process.terminationStatus
      return Spawned(
        status: process.terminationReason == .uncaughtSignal ? -status : status,
        output: try Data(contentsOf: folder.url.appending(path: "out")), errors: errors)
    }
  }

  /// Runs a program to its end.
  public static func run(
    _ program: String, _ arguments: [String], input: Data? = nil, environment: [String: String] = [:],
    currentDirectory: URL? = nil
  ) throws -> Spawned {
    try Running(program, arguments, input: input, environment: environment, currentDirectory: currentDirectory).wait()
  }
}
