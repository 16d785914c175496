/// An append-only list of plain values, of which only so many stay in memory.
struct SpillingBuffer<Element: BitwiseCopyable> {
  /// The last values.
  private(set) var memory: [Element] = []
  /// Holds the values before those in memory; `nil`: there are none.
  private(set) var storage: (any SpillStorage)?
  /// How many these are.
  private(set) var stored = 0
  private let limit: Int
  private let makeStorage: SpillFactory?

  /// - Parameters:
  ///   - limit: values kept in memory before they are written out.
  ///   - spill: makes the storage; `nil`: everything stays in memory.
  init(limit: Int, spill: SpillFactory?) {
    self.limit = limit
    makeStorage = spill
  }

  var count: Int { stored + memory.count }

  /// Calls the body to append values to those in memory, and writes these out if they are many.
  mutating func append(_ body: (inout [Element]) -> Void) throws {
    body(&memory)
    guard memory.count >= limit, let makeStorage else { return }
    let target = try storage ?? makeStorage()
    storage = target
    try memory.withUnsafeBytes { try target.append($0) }
    stored += memory.count
    memory.removeAll(keepingCapacity: true)
  }
}
