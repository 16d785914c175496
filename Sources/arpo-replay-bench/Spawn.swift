import Foundation

/// One finished run of a command, measured from outside.
struct Run {
  var seconds: Double
  var cpu: Double
  /// Peak resident size in MiB.
  var memory: Double
  var output: String
  var status: Int32
}

/// Runs commands and measures them: wall time by the clock, processor time and memory by the kernel's own account.
enum Spawn {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  static func run(_ command: [String], environment: [String: String] = [:]) throws -> Run {
    var pipes: [Int32] = [0, 0]
    guard pipe(&pipes) == 0 else { throw Failure(description: "no pipe") }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
    posix_spawn_file_actions_addclose(&actions, pipes[0])
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var variables = ProcessInfo.processInfo.environment
    for (name, value) in environment { variables[name] = value }
    let arguments = command.map { strdup($0) } + [nil]
    let settings = variables.map { strdup("\($0)=\($1)") } + [nil]
    defer {
      for text in arguments { free(text) }
      for text in settings { free(text) }
    }
    // What the command before left to be written must not keep this one's disk busy.
    sync()
    let start = ContinuousClock.now
    var child: pid_t = 0
    let code = posix_spawnp(&child, command[0], &actions, nil, arguments, settings)
    close(pipes[1])
    guard code == 0 else {
      close(pipes[0])
      throw Failure(description: "\(command[0]): \(String(cString: strerror(code)))")
    }
    let output = FileHandle(fileDescriptor: pipes[0], closeOnDealloc: true).readDataToEndOfFile()
    var status: Int32 = 0
    var usage = rusage()
    wait4(child, &status, 0, &usage)
    let elapsed = (ContinuousClock.now - start).components
    func seconds(_ t: timeval) -> Double { Double(t.tv_sec) + Double(t.tv_usec) * 1e-6 }
    #if os(Linux)
      let memory = Double(usage.ru_maxrss) / 1024
    #else
      let memory = Double(usage.ru_maxrss) / 1024 / 1024
    #endif
    return Run(
      seconds: Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18,
      cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime), memory: memory,
      output: String(decoding: output, as: UTF8.self), status: status)
  }
}
