/// Named numbers in the order in which they were set.
public struct MetricList: Sendable, Equatable {
  /// A name and its number.
  public struct Entry: Sendable, Equatable {
    /// Such as `actor/pg_loss`.
    public var name: String
    /// The number.
    public var value: Double
  }

  /// In order.
  public private(set) var entries: [Entry] = []

  /// No numbers.
  public init() {}

  /// The number of a name; setting `nil` leaves the list as it is.
  public subscript(name: String) -> Double? {
    get { entries.first { $0.name == name }?.value }
    set {
      guard let newValue else { return }
      if let at = entries.firstIndex(where: { $0.name == name }) {
        entries[at].value = newValue
      } else {
        entries.append(Entry(name: name, value: newValue))
      }
    }
  }

  /// Appends another list.
  public mutating func add(_ other: MetricList) { for entry in other.entries { self[entry.name] = entry.value } }

  mutating func add(_ name: String, mean: Double?, std: Double?, min: Double, max: Double) {
    self[name + "_mean"] = mean
    self[name + "_std"] = std
    self[name + "_min"] = min
    self[name + "_max"] = max
  }

  mutating func add(_ name: String, _ tally: Tally) {
    guard !tally.isEmpty else { return }
    self[name + "/mean"] = tally.mean
    self[name + "/max"] = tally.max
    self[name + "/min"] = tally.min
  }
}
