import Foundation
import TestSupport

/// Runs a program as somebody who may not write everywhere, as root may.
enum Unprivileged {
  private static let setpriv = "/usr/bin/setpriv"
  private static let options = ["--reuid=65534", "--regid=65534", "--clear-groups"]

  /// Whether there is somebody else to be, or no need to.
  static let isPossible =
    geteuid() != 0 || (try? Spawned.Running(setpriv, options + ["true"]).wait().status) == 0

  static func run(_ program: String, _ arguments: [String]) throws -> Spawned {
    if geteuid() != 0 { return try Spawned.Running(program, arguments).wait() }
    return try Spawned.Running(setpriv, options + [program] + arguments).wait()
  }
}
