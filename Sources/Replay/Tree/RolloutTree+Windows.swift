extension RolloutPath {
  /// The generation segment that a tool result is followed by: the first that starts at or behind the result's end and
  /// before the next result.
  ///
  /// Of several results in a row only the last one has it; text inserted with loss_mask 0 may lie between.
  public func window(after result: Int) -> Range<Int>? {
    let end = results[result].end
    let limit = result + 1 < results.count ? results[result + 1].start : Int.max
    guard let segment = firstGeneration(from: end), segment.lowerBound < limit else { return nil }
    return segment
  }

  /// The last generation segment that ends at or before the start of a tool result.
  public func segment(before result: Int) -> Range<Int>? {
    let start = results[result].start
    var low = 0
    var high = generation.count
    while low < high {
      let middle = (low + high) / 2
      if generation[middle].upperBound <= start { low = middle + 1 } else { high = middle }
    }
    return low > 0 ? generation[low - 1] : nil
  }

  /// Generation segments clipped to owned tokens: one for each model call that the trajectory made itself.
  ///
  /// A fork inside a segment makes the first one start at the branch.
  public var ownedSegments: [Range<Int>] {
    generation.filter { $0.upperBound > branch }.map { max($0.lowerBound, branch)..<$0.upperBound }
  }

  /// The first generation segment that starts at or behind an index.
  private func firstGeneration(from index: Int) -> Range<Int>? {
    var low = 0
    var high = generation.count
    while low < high {
      let middle = (low + high) / 2
      if generation[middle].lowerBound < index { low = middle + 1 } else { high = middle }
    }
    return low < generation.count ? generation[low] : nil
  }
}
