import Rollouts

extension Forensics {
  /// Entropies of nearly certain tokens come out this far below 0 by rounding.
  private static let entropyRounding = -1e-4

  /// Logged entropies that no distribution has.
  static func negativeEntropies(_ columns: TokenColumns, firstIndex: Int) -> [Finding] {
    guard let entropies = columns.entropies else { return [] }
    let found: (count: Int, first: Int?) =
      entropies.precision == .float64
      ? below(entropies.doubles, entropyRounding) : below(entropies.floats, Float(entropyRounding))
    return found.first.map { [Finding(.negativeEntropy, count: found.count, firstIndex: firstIndex + $0)] } ?? []
  }

  private static func below<T: BinaryFloatingPoint>(_ values: [T], _ limit: T) -> (count: Int, first: Int?) {
    // Hardly any log has one, and a count is made without a branch.
    var count = 0
    for value in values { count += value < limit ? 1 : 0 }
    return (count, count > 0 ? values.firstIndex { $0 < limit } : nil)
  }
}
