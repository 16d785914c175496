import ArgumentParser
import RolloutStore

/// Whose values an analysis stands on.
struct EvidenceArguments: ParsableArguments {
  @Option(help: "Stand on the values of this name that arpo-replay rescore made, not on the logged ones.")
  var evidence: String?

  /// Puts the choice into a selection and says what it is.
  /// - Throws: ``StoreError`` if the database has no such values.
  func apply(to selection: inout GroupSelection, _ store: @autoclosure () throws -> Store) throws {
    guard let evidence else { return }
    selection.evidence = evidence
    Talk.say("evidence \(try store().evidence(named: evidence))")
  }
}

extension Store {
  /// The evidence set of a name, or where none is given the only one; it is said which.
  /// - Throws: ``StoreError`` if there is none, or several to choose from.
  func evidence(namedOrOnly name: String?) throws -> EvidenceRecord {
    if let name { return try evidence(named: name) }
    let all = try evidenceSets()
    let complete = all.filter(\.isComplete)
    guard let only = (complete.isEmpty ? all : complete).first else {
      throw StoreError(.missing, "the database has no recomputed values: make them with arpo-replay rescore")
    }
    guard complete.count <= 1 else {
      let names = complete.map(\.name).joined(separator: ", ")
      throw StoreError(.failed, "the database has several recomputed values, say which with --evidence: \(names)")
    }
    let found = try evidence(named: only.name)
    Talk.say("evidence \(found)")
    return found
  }
}
