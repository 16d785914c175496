import ArgumentParser
import RolloutStore

/// Whose values an analysis stands on.
struct EvidenceArguments: ParsableArguments {
  @Option(help: "Stand on the values of this name that arpo-replay rescore made, not on the logged ones.")
  var evidence: String?

  /// Puts the choice into a selection and says what it is.
  /// - Throws: ``StoreError`` if the database has no such values.
  func apply(to selection: inout GroupSelection, _ store: Store) throws {
    guard let evidence else { return }
    selection.evidence = evidence
    Talk.say("evidence \(try store.evidence(named: evidence))")
  }
}
