import Foundation
import Learner
import Policy
import Replay

/// `learner_run.json`: everything that is needed to repeat a run, and how it ended.
struct LearnManifest {
  static let name = "learner_run.json"
  static let schema = "arpo-learner-run/1"

  /// What decides the result, flat: a resumed run must have the same.
  var options: [(String, DocumentValue)]
  /// What it was trained on and with.
  var facts: [(String, DocumentValue)]
  /// How it stands.
  var outcome: [(String, DocumentValue)] = [("state", .string("running"))]

  func write(to directory: String) throws {
    let document = DocumentValue.object(
      [("schema", .string(Self.schema))] + outcome + [("options", .object(options))] + facts)
    try AtomicFile.write(Array((Self.lines(document) + "\n").utf8), to: directory + "/" + Self.name)
  }

  /// JSON with a line for each member of the outer two levels, so that two runs can be compared with diff.
  private static func lines(_ document: DocumentValue) -> String {
    guard case .object(let members) = document else { return document.json }
    let rows = members.map { key, value in
      var text = DocumentValue.string(key).json + ": "
      if case .object(let inner) = value, !inner.isEmpty {
        let lines = inner.map { "    " + DocumentValue.string($0.0).json + ": " + $0.1.json }
        text += "{\n" + lines.joined(separator: ",\n") + "\n  }"
      } else {
        text += value.json
      }
      return "  " + text
    }
    return "{\n" + rows.joined(separator: ",\n") + "\n}"
  }

  /// The state that a folder's run is in; `nil` if the folder holds none.
  static func state(in directory: String) throws -> String? { try read(directory)?["state"] as? String }

  private static func read(_ directory: String) throws -> [String: Any]? {
    let path = directory + "/" + name
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let data = try Data(contentsOf: URL(filePath: path))
    guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
      object["schema"] as? String == schema
    else { throw LearnerError("\(path) is not the manifest of a run of this version") }
    return object
  }

  /// How the options of a folder's run differ from these, as sentences.
  func differences(from directory: String) throws -> [String] {
    guard let object = try Self.read(directory), let old = object["options"] as? [String: Any] else { return [] }
    let text = DocumentValue.object(options).json
    let new = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
    return Set(old.keys).union(new.keys).sorted().compactMap { key in
      // A run of a version that did not have the option yet goes on where nobody gives it.
      let (a, b) = (old[key] is NSNull ? nil : old[key] as? NSObject, new[key] is NSNull ? nil : new[key] as? NSObject)
      return a == b ? nil : "\(key) was \(a.map { "\($0)" } ?? "not there"), is now \(b.map { "\($0)" } ?? "not there")"
    }
  }
}
