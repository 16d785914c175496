/// What a trajectory's log lets one compute.
///
/// Every number of an analysis names the evidence it stands on.
public struct Evidence: OptionSet, Sendable, Hashable {
  public let rawValue: Int

  public init(rawValue: Int) { self.rawValue = rawValue }

  public static let text = Evidence(rawValue: 1)
  public static let tokenIDs = Evidence(rawValue: 2)
  public static let sampledLogprobs = Evidence(rawValue: 4)
  public static let topLogprobs = Evidence(rawValue: 8)
  public static let entropies = Evidence(rawValue: 16)

  private static let names: [(Evidence, String)] = [
    (.text, "text"), (.tokenIDs, "token_ids"), (.sampledLogprobs, "sampled_logprobs"),
    (.topLogprobs, "top_logprobs"), (.entropies, "entropies"),
  ]

  /// The names of what is there, in ascending order of strength.
  public var labels: [String] { Self.names.filter { contains($0.0) }.map(\.1) }

  /// The labels joined by a comma, `none` if there is nothing.
  public var description: String { isEmpty ? "none" : labels.joined(separator: ",") }
}
