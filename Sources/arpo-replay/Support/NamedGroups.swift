import RolloutStore

extension Store {
  /// Checks that what a selection names is there, so that a misspelt name is no empty result.
  func checkNames(of selection: GroupSelection) throws {
    for group in selection.groups {
      var one = selection
      one.groups = [group]
      one.step = nil
      if try groupKeys(one, limit: 1).isEmpty { throw try noGroup(group) }
    }
    guard let step = selection.step, try groupKeys(selection, limit: 1).isEmpty else { return }
    var anyStep = selection
    anyStep.step = nil
    let some = try steps(anyStep, limit: 6).map(String.init)
    let place = selection.groups.isEmpty ? "" : " of group \(selection.groups.joined(separator: ", "))"
    throw StoreError(
      .failed, "there is no step \(step)\(place); " + (some.isEmpty ? "the log names none" : Self.list(some, limit: 5)))
  }

  /// What there is instead of a group that a selection of runs does not have.
  func noGroup(_ group: String) throws -> StoreError {
    var anywhere = GroupSelection()
    anywhere.groups = [group]
    let elsewhere = try groupKeys(anywhere, limit: 5)
    if !elsewhere.isEmpty {
      let places = elsewhere.map { "run \($0.run)" + ($0.step.map { ", step \($0)" } ?? "") }
      return StoreError(.failed, "group \(group) is not there, but in \(places.joined(separator: "; "))")
    }
    let some = try groupKeys(GroupSelection(), limit: 6).map(\.group)
    return StoreError(
      .failed,
      "there is no group \(group); "
        + (some.isEmpty ? "the database has none" : Self.list(some, limit: 5) + " (all: arpo-replay query … groups)"))
  }

  private static func list(_ names: [String], limit: Int) -> String {
    "there are: " + (names.prefix(limit) + (names.count > limit ? ["…"] : [])).joined(separator: ", ")
  }
}
