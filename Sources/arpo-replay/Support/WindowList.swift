import ArgumentParser

/// Windows of generated tokens behind a tool result, as `--windows` is given them.
enum WindowList {
  /// Half-open ranges of token offsets from text such as `0-10,10-50`.
  ///
  /// - Throws: `ValidationError` if a window is none, or comes twice.
  static func parse(_ text: String) throws -> [Range<Int>] {
    let windows = try text.split(separator: ",").map { part in
      let ends = part.split(separator: "-").map { Int($0) }
      guard ends.count == 2, let start = ends[0], let end = ends[1], start >= 0, start < end, end <= 1_000_000 else {
        throw ValidationError("--windows wants start-end pairs such as 0-10,10-50, not \(part)")
      }
      return start..<end
    }
    guard !windows.isEmpty, Set(windows).count == windows.count else {
      throw ValidationError("--windows names no window, or one twice")
    }
    return windows
  }
}
