import Foundation
import Testing
import TestSupport

@testable import Replay

/// Keeps what is spilled in memory, and gives it back in small pieces.
final class MemorySpill: SpillStorage {
  private var bytes: [UInt8] = []

  func append(_ new: UnsafeRawBufferPointer) { bytes += new }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let n = min(buffer.count, bytes.count - offset, 1001)
    buffer.copyBytes(from: bytes[offset..<(offset + n)])
    return n
  }
}

private func plainMedian(_ values: [Double]) -> Double? {
  let v = values.sorted()
  if v.isEmpty { return nil }
  return v.count % 2 == 1 ? v[v.count / 2] : 0.5 * (v[v.count / 2 - 1] + v[v.count / 2])
}

@Suite struct SpillingValuesTests {
  @Test(arguments: [0, 1, 2, 3, 10, 999, 20_000])
  func medianAndDeviationEqualThePlainDefinition(count: Int) throws {
    var random = SeededGenerator(seed: UInt64(count))
    let values = (0..<count).map { _ -> Double in
      let sign = Bool.random(using: &random) ? 1.0 : -1.0
      let tied = [0.0, -0.0, 1.5, -1e-307].randomElement(using: &random) ?? 0.0
      let spread = exp(Double.random(in: -30...30, using: &random)) * sign
      return Int.random(in: 0..<3, using: &random) == 0 ? tied : spread
    }
    let median = plainMedian(values)
    let directory = FileManager.default.temporaryDirectory.path
    let inMemory: SpillFactory = { MemorySpill() }
    let inFile: SpillFactory = { try UnlinkedFile(directory: directory) }
    for (limit, spill) in [(Int.max, nil), (64, inMemory), (64, inFile)] as [(Int, SpillFactory?)] {
      var kept = SpillingValues(limit: limit, spill: spill)
      for start in stride(from: 0, to: count, by: 37) { try kept.append(Array(values[start..<min(start + 37, count)])) }
      #expect(kept.count == count)
      #expect(try kept.median() == median)
      if let median {
        #expect(try kept.medianDeviation(from: median) == plainMedian(values.map { abs($0 - median) }))
      }
      var seen: [Double] = []
      try kept.forEachChunk { seen += $0 }
      #expect(seen == values)
    }
  }

  @Test func recordsComeBackInOrder() throws {
    var records = SpillingRecords(limit: 100, spill: { MemorySpill() })
    let written = (0..<300).map { i in [UInt8](repeating: UInt8(i % 251), count: i % 17) }
    for record in written { try records.append(record) }
    var read: [[UInt8]] = []
    try records.forEach { read.append(Array($0)) }
    #expect(read == written)
  }

  @Test func truncatedStorageIsAnError() throws {
    final class Lossy: SpillStorage {
      func append(_ bytes: UnsafeRawBufferPointer) {}
      func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int { 0 }
    }
    var kept = SpillingValues(limit: 2, spill: { Lossy() })
    try kept.append([1, 2, 3])
    #expect(throws: SpillError.truncated) { try kept.median() }
  }

  @Test func folderThatIsNotThere() {
    #expect(throws: SpillError.self) { try UnlinkedFile(directory: "/no/such/folder") }
  }
}
