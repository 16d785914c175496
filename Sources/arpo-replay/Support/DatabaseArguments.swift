import ArgumentParser
import Foundation
import RolloutStore

/// The runs, groups and step that a command looks at.
struct SelectionArguments: ParsableArguments {
  @Option(name: .customLong("run"), help: "Only this run; repeatable.")
  var runs: [String] = []

  @Option(name: .customLong("group"), help: "Only this group; repeatable.")
  var groups: [String] = []

  @Option(help: "Only groups of this training step.")
  var step: Int?

  /// Whether anything is left out.
  var isNarrowed: Bool { !runs.isEmpty || !groups.isEmpty || step != nil }

  /// What is selected, whether it is there or not.
  var unchecked: GroupSelection {
    var selection = GroupSelection()
    selection.runs = runs
    selection.groups = groups
    selection.step = step
    return selection
  }

  /// What is selected; all that it names is there.
  func selection(in store: Store) throws -> GroupSelection {
    try store.checkNames(of: unchecked)
    return unchecked
  }
}

/// On how many threads groups are read and worked on; results do not depend on it.
struct ThreadArguments: ParsableArguments {
  @Option(name: .customLong("threads"), help: ArgumentHelp("Threads.", visibility: .hidden))
  var count = max(2, ProcessInfo.processInfo.activeProcessorCount)

  func validate() throws {
    guard (1...256).contains(count) else { throw ValidationError("--threads is 1 to 256") }
  }
}

/// Which database and part of it an analysis reads, and on how many threads.
struct DatabaseArguments: ParsableArguments {
  @Argument(help: "The database.")
  var database: String

  @OptionGroup var selected: SelectionArguments
  @OptionGroup private var threadOptions: ThreadArguments

  var threads: Int { threadOptions.count }

  /// The part of the database, without texts, which most analyses do not read.
  func selection(in store: Store) throws -> GroupSelection {
    var selection = try selected.selection(in: store)
    selection.withTexts = false
    return selection
  }

  func open() throws -> Store {
    let store = try Store.open(database, for: .reading)
    for run in try store.unsettledRuns() where selected.runs.isEmpty || selected.runs.contains(run) {
      Talk.warn(
        "the import of run \(run) has not come to its end: conversations, groups and copies may be incomplete; if it was "
          + "cut off, import the log again")
    }
    return store
  }
}
