public import Foundation

/// Comparison of JSON values as Foundation reads them.
public enum GoldenJSON {
  /// The object in a JSON file.
  public static func object(_ url: URL) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any] ?? [:]
  }

  /// Where two values differ, at most a few places: numbers by more than `tolerance` max(1, |expected|), anything else
  /// at all.
  ///
  /// The order of keys does not matter.
  public static func differences(_ got: Any, _ expected: Any, tolerance: Double, at path: String = "") -> [String] {
    switch (got, expected) {
    case (let a as [String: Any], let b as [String: Any]):
      let keys = Set(a.keys).symmetricDifference(b.keys).sorted()
      if !keys.isEmpty { return ["\(path): only one has \(keys.prefix(5))"] }
      return first(a.keys.sorted().lazy.map { ($0, a[$0] as Any, b[$0] as Any) }, tolerance, path)
    case (let a as [Any], let b as [Any]):
      if a.count != b.count { return ["\(path): \(a.count) entries, expected \(b.count)"] }
      return first(a.indices.lazy.map { (String($0), a[$0], b[$0]) }, tolerance, path)
    case (is NSNull, is NSNull): return []
    case (let a as String, let b as String): return a == b ? [] : ["\(path): \(a), expected \(b)"]
    case (let a as NSNumber, let b as NSNumber):
      let areBools = (isBool(a), isBool(b))
      if areBools.0 != areBools.1 { return ["\(path): \(a), expected \(b)"] }
      let isClose = abs(a.doubleValue - b.doubleValue) <= tolerance * max(1, abs(b.doubleValue))
      return isClose ? [] : ["\(path): \(a), expected \(b)"]
    default: return ["\(path): \(got), expected \(expected)"]
    }
  }

  private static func first(
    _ pairs: some Sequence<(String, Any, Any)>, _ tolerance: Double, _ path: String
  ) -> [String] {
    var out: [String] = []
    for (key, a, b) in pairs {
      out += differences(a, b, tolerance: tolerance, at: path + "/" + key)
      if out.count >= 5 { break }
    }
    return out
  }

  private static func isBool(_ x: NSNumber) -> Bool {
    // Foundation's booleans are of type "c" (or "B" on some systems); a number of JSON is never one byte wide.
    ["c", "B"].contains(String(cString: x.objCType))
  }
}
