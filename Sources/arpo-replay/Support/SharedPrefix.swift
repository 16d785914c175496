import ArgumentParser

/// Which prefixes of a group count as shared.
enum SharedPrefix: String, CaseIterable, Sendable, ExpressibleByArgument {
  /// Those of the log's own forks.
  case own
  /// Every common token prefix.
  case any
}

extension NameSpecification {
  /// Commands once had two names for it.
  static let sharedPrefix: NameSpecification = [.customLong("shared-prefix"), .customLong("sharing")]
}
