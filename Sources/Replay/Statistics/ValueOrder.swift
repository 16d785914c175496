/// A number and where it stood before sorting.
struct PlacedValue: Sendable, Equatable {
  var value: Double
  var position: Int32
}

/// Numbers in ascending order, with their positions; equal numbers keep their order.
///
/// A radix sort on 11 bits a pass: millions of tokens with as many different numbers are sorted in a few passes over
/// memory.
///
/// - Parameter values: none of them `NaN`, at most 2^31; -0 stands before 0.
func ascending(_ values: [Double]) -> [PlacedValue] {
  var entries = values.enumerated().map { PlacedValue(value: $1, position: Int32($0)) }
  // Clearing the counters costs more than comparing few numbers.
  if values.count < 1 << 12 {
    return entries.sorted { (sortKey($0.value), $0.position) < (sortKey($1.value), $1.position) }
  }
  var sorted = entries
  for shift in [0, 11, 22, 33, 44, 55] as [UInt64] {
    var starts = [Int](repeating: 0, count: 1 << 11)
    for entry in entries { starts[Int(sortKey(entry.value) >> shift & 0x7FF)] += 1 }
    // All in one bucket: the order stays.
    if starts.contains(entries.count) { continue }
    var before = 0
    for i in starts.indices {
      let count = starts[i]
      starts[i] = before
      before += count
    }
    sorted.withUnsafeMutableBufferPointer { sorted in
      starts.withUnsafeMutableBufferPointer { starts in
        for entry in entries {
          let bucket = Int(sortKey(entry.value) >> shift & 0x7FF)
          sorted[starts[bucket]] = entry
          starts[bucket] += 1
        }
      }
    }
    swap(&entries, &sorted)
  }
  return entries
}

/// A key whose order as an integer is that of the doubles.
func sortKey(_ x: Double) -> UInt64 {
  let bits = x.bitPattern
  return bits >> 63 == 1 ? ~bits : bits | 1 << 63
}
