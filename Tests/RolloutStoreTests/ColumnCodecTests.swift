import Rollouts
import TestSupport
import Testing

@testable import RolloutStore

@Suite struct ColumnCodecTests {
  typealias Codec = ColumnCodecChecks

  // MARK: Round trips

  @Test(arguments: [0, 1, 2, 31, 32, 33, 511, 512, 3000]) func integersComeBack(count: Int) throws {
    var random = SeededGenerator(seed: UInt64(count))
    let ranges: [ClosedRange<Int32>] = [0...0, 0...255, 0...151_664, 0...Int32.max, (-1)...1, Int32.min...Int32.max]
    for range in ranges {
      let values = (0..<count).map { _ in Int32.random(in: range, using: &random) }
      #expect(try Codec.integers(ColumnEncoder().integers(values[...])) == values)
    }
  }

  @Test func aPartOfAColumnIsCodedAlone() throws {
    let values = (0..<100).map { Int32($0) }
    #expect(try Codec.integers(ColumnEncoder().integers(values[40..<60])) == Array(40..<60))
    let column = RealColumn(floats: values.map { -Float($0) })
    #expect(try Codec.reals(ColumnEncoder().reals(column, 40..<60)) == column.slice(40..<60))
  }

  @Test(arguments: [0, 1, 31, 32, 511, 512, 3000]) func realsComeBackBitForBit(count: Int) throws {
    var random = SeededGenerator(seed: UInt64(count) + 1)
    for column in Codec.columns(count, using: &random) {
      let back = try Codec.reals(ColumnEncoder().reals(column, 0..<count))
      #expect(back == column && back.precision == column.precision)
    }
  }

  @Test func missingZeroAndExtremeValuesComeBack() throws {
    let floats: [Float] = [.nan, 0, -0.0, .leastNonzeroMagnitude, -.greatestFiniteMagnitude, -1, .nan]
    let doubles: [Double] = [.nan, 0, -0.0, .leastNonzeroMagnitude, -.greatestFiniteMagnitude, -0.1, .nan]
    for column in [
      RealColumn(floats: floats), RealColumn(floats: floats, precision: .float32Decimal), RealColumn(doubles: doubles),
    ] {
      let back = try Codec.reals(ColumnEncoder().reals(column, 0..<7))
      #expect(back == column && back.precision == column.precision)
      #expect(back[0] == nil && back[6] == nil && back[1]?.sign == .plus && back[2]?.sign == .minus)
    }
  }

  @Test func masksComeBackAndEqualOnesAreNotStored() throws {
    var random = SeededGenerator(seed: 4)
    #expect(ColumnEncoder().mask([]) == nil && ColumnEncoder().mask([1, 1, 1]) == nil)
    #expect(ColumnEncoder().mask([0, 0]) == nil)
    for count in [2, 3, 100, 5000] {
      for share in [0.02, 0.5, 0.98] {
        let mask = (0..<count).map { _ in UInt8(Double.random(in: 0..<1, using: &random) < share ? 1 : 0) }
        guard let blob = ColumnEncoder().mask(mask[...]) else {
          #expect(Set(mask).count == 1)
          continue
        }
        #expect(try Codec.mask(blob) == mask)
      }
    }
  }

  @Test(arguments: [1, 15, 16, 17, 200]) func candidatesComeBackBitForBit(rows: Int) throws {
    var random = SeededGenerator(seed: UInt64(rows) + 9)
    for top in Codec.candidates(rows: rows, using: &random) {
      let blob = ColumnEncoder().candidates(top, 0..<rows, 0..<top.tokenIDs.count)
      guard let blob else {
        #expect(top.tokenIDs.isEmpty)
        continue
      }
      let back = try Codec.candidates(blob)
      #expect(back.counts == top.counts && back.tokenIDs == top.tokenIDs && back.logprobs == top.logprobs)
      #expect(back.logprobs.precision == top.logprobs.precision)
    }
  }

  /// Logits of bfloat16 come back exactly although their log-probabilities are stored as whole numbers of steps.
  @Test func stepsSaveSpaceAndLoseNothing() throws {
    var random = SeededGenerator(seed: 5)
    var top = TopLogprobs()
    var noise = TopLogprobs()
    for _ in 0..<100 {
      let best = -Float.random(in: 0..<2, using: &random)
      for k in 0..<20 {
        top.logprobs.floats.append(best - Float(Int.random(in: 0...900, using: &random)) * 0.015625)
        noise.logprobs.floats.append(-Float.random(in: 0..<16, using: &random))
        top.tokenIDs.append(Int32(k))
      }
      top.counts.append(20)
    }
    // A few rows that no steps reproduce.
    for row in [3, 40, 99] { for k in 0..<20 { top.logprobs.floats[row * 20 + k] = -0.1 - Float(k) / 7 } }
    (noise.counts, noise.tokenIDs) = (top.counts, top.tokenIDs)
    let blob = try #require(ColumnEncoder().candidates(top, 0..<100, 0..<2000))
    let plain = try #require(ColumnEncoder().candidates(noise, 0..<100, 0..<2000))
    #expect(try Codec.candidates(blob) == top && Codec.candidates(plain) == noise)
    #expect(blob.count * 4 < plain.count * 3)
  }

  @Test func columnsOfSegmentsAreJoined() throws {
    let decoder = ColumnDecoder()
    var column = RealColumn()
    for part in [
      RealColumn(floats: [-1, .nan]), RealColumn(floats: [-0.1], precision: .float32Decimal),
      RealColumn(doubles: [-0.12345678901]), RealColumn(floats: [-2]),
    ] {
      try ColumnEncoder().reals(part, 0..<part.count).withUnsafeBytes { try decoder.reals($0, into: &column) }
    }
    #expect(column.precision == .float64 && column.count == 5 && column[1] == nil)
    #expect(column[0] == -1 && column[2] == Double(Float(-0.1)) && column[3] == -0.12345678901 && column[4] == -2)
  }

  /// Ids in a blob of their own: with it all comes back, without it all but the ids.
  @Test(arguments: [1, 17, 300]) func idsMayStandApart(rows: Int) throws {
    var random = SeededGenerator(seed: UInt64(rows))
    for top in Codec.candidates(rows: rows, using: &random) where !top.tokenIDs.isEmpty {
      let flat = 0..<top.tokenIDs.count
      let sampled = [Int32](repeating: 300_000, count: rows)
      let blob = try #require(
        ColumnEncoder().candidates(top, 0..<rows, flat, sampled: sampled[...], withIDs: false))
      let ids = ColumnEncoder().integers(top.tokenIDs[...])
      let decoder = ColumnDecoder()
      func read(_ ids: [UInt8]?, withIDs: Bool) throws -> TopLogprobs {
        var out = TopLogprobs()
        let isEnough = try blob.withUnsafeBytes { blob in
          try ids.map { try $0.withUnsafeBytes { try decoder.candidates(blob, ids: $0, into: &out, withIDs: withIDs) } }
            ?? decoder.candidates(blob, into: &out, withIDs: withIDs)
        }
        #expect(isEnough)
        return out
      }
      #expect(try read(ids, withIDs: true) == top)
      let without = try read(nil, withIDs: false)
      #expect(without.tokenIDs.isEmpty && without.counts == top.counts && without.logprobs == top.logprobs)
      #expect(without.places == [UInt8](repeating: 255, count: rows))
      // Ids that are missing, too few, too many or cut off.
      #expect(throws: ColumnError.self) { try read(nil, withIDs: true) }
      let others = [
        ColumnEncoder().integers(top.tokenIDs.dropLast()), ColumnEncoder().integers((top.tokenIDs + [1])[...]),
        Array(ids.dropLast()),
      ]
      for other in others { #expect(throws: ColumnError.self) { try read(other, withIDs: true) } }
    }
  }

  /// The place of the sampled token stands for the ids, and without places the ids must be read.
  @Test func placesStandForIDs() throws {
    var random = SeededGenerator(seed: 9)
    for top in Codec.candidates(rows: 300, using: &random) {
      var at = 0
      var sampled: [Int32] = []
      var places: [UInt8] = []
      for count in top.counts {
        let ids = top.tokenIDs[at..<(at + Int(count))]
        sampled.append(Bool.random(using: &random) ? ids.randomElement(using: &random) ?? 7 : 300_000)
        let place = ids.firstIndex(of: sampled[sampled.count - 1])
        places.append(place.map { UInt8($0 - at) } ?? 255)
        at += Int(count)
      }
      let flat = 0..<top.tokenIDs.count
      let blob = try #require(ColumnEncoder().candidates(top, 0..<300, flat, sampled: sampled[...]))
      #expect(try Codec.candidates(blob) == top)
      var without = TopLogprobs()
      let isPlain = try blob.withUnsafeBytes { try ColumnDecoder().candidates($0, into: &without, withIDs: false) }
      #expect(isPlain)
      #expect(without.places == places && without.tokenIDs.isEmpty && without.logprobs == top.logprobs)
      // A token that stands twice in its row has no one place.
      var twice = top
      guard let row = top.counts.firstIndex(where: { $0 >= 2 }) else { continue }
      let first = top.counts[..<row].reduce(0) { $0 + Int($1) }
      twice.tokenIDs[first + 1] = twice.tokenIDs[first]
      sampled[row] = twice.tokenIDs[first]
      let other = try #require(ColumnEncoder().candidates(twice, 0..<300, flat, sampled: sampled[...]))
      var none = TopLogprobs()
      let isEnough = try other.withUnsafeBytes { try ColumnDecoder().candidates($0, into: &none, withIDs: false) }
      #expect(!isEnough)
      #expect(none == TopLogprobs())
      #expect(try Codec.candidates(other) == twice)
    }
  }

  /// Planes of every coding: few values, one value with exceptions, bits, nibbles from both ends.
  @Test(arguments: [1, 7, 8, 9, 63, 64, 65, 255, 1000]) func everyPlaneCodingComesBack(count: Int) throws {
    var random = SeededGenerator(seed: UInt64(count))
    let makers: [() -> UInt8] = [
      { 9 }, { Int.random(in: 0..<40, using: &random) == 0 ? UInt8.random(in: 1...255, using: &random) : 0 },
      { Int.random(in: 0..<6, using: &random) == 0 ? UInt8.random(in: 6...8, using: &random) : 5 },
      { UInt8.random(in: 250...253, using: &random) }, { UInt8.random(in: 30...44, using: &random) },
      { Int.random(in: 0..<20, using: &random) == 0 ? 3 : UInt8.random(in: 180...192, using: &random) },
      { Int.random(in: 0..<20, using: &random) == 0 ? 250 : UInt8.random(in: 3...12, using: &random) },
      { UInt8.random(in: 0...255, using: &random) },
    ]
    for make in makers {
      let values = (0..<count).map { _ in Int32(make()) }
      #expect(try Codec.integers(ColumnEncoder().integers(values[...])) == values)
    }
  }

  // MARK: Damage

  /// A few bytes cannot ask for gigabytes.
  @Test func blobsThatPromiseTooMuchAreErrors() throws {
    let many: [UInt8] = [0x80, 0x80, 0x80, 0x40]
    for blob in [
      [1] + many + [1, 0, 1, 0, 1, 0, 1, 0], [2, 0] + many + [1, 0, 1, 0, 1, 0, 1, 0], [3, 1, 1] + many,
      [4, 0] + many + [0, 1, 0],
    ] {
      let decoder = ColumnDecoder()
      decoder.expect(tokens: 10)
      #expect(throws: ColumnError.self) {
        try blob.withUnsafeBytes { bytes in
          var ids: [Int32] = []
          var reals = RealColumn()
          var mask: [UInt8] = []
          var top = TopLogprobs()
          switch blob[0] {
          case 1: try decoder.integers(bytes, into: &ids)
          case 2: try decoder.reals(bytes, into: &reals)
          case 3: try decoder.mask(bytes, into: &mask)
          default: try decoder.candidates(bytes, into: &top)
          }
        }
      }
    }
  }

  /// Every cut and many changes of every kind of blob are errors or other values, never a crash.
  @Test func damagedBlobsAreErrors() throws {
    var random = SeededGenerator(seed: 6)
    var blobs: [[UInt8]] = []
    let encoder = ColumnEncoder()
    for count in [1, 40, 700] {
      let ids = (0..<count).map { _ in Int32.random(in: 0..<3000, using: &random) }
      blobs.append(encoder.integers(ids[...]))
      for column in Codec.columns(count, using: &random) { blobs.append(encoder.reals(column, 0..<count)) }
      let mask = (0..<count).map { UInt8($0 % 5 == 0 ? 0 : 1) }
      if let blob = encoder.mask(mask[...]) { blobs.append(blob) }
      for top in Codec.candidates(rows: count, using: &random) {
        let flat = 0..<top.tokenIDs.count
        if let blob = encoder.candidates(top, 0..<count, flat) { blobs.append(blob) }
        let sampled = [Int32](repeating: -1, count: count)
        if let blob = encoder.candidates(top, 0..<count, flat, sampled: sampled[...], withIDs: false) {
          blobs.append(blob)
        }
      }
    }
    var errors = 0
    for blob in blobs {
      for n in Set((0..<min(24, blob.count)).map { $0 * blob.count / min(24, blob.count) }) {
        #expect(throws: ColumnError.self) { try Codec.any(Array(blob[..<n])) }
      }
      #expect(throws: ColumnError.self) { try Codec.any(blob + [0]) }
      for _ in 0..<60 {
        var damaged = blob
        // The head is where lengths stand.
        let head = min(damaged.count, 12)
        let at = Int.random(in: 0..<(Bool.random(using: &random) ? head : damaged.count), using: &random)
        damaged[at] = UInt8.random(in: 0...255, using: &random)
        do { try Codec.any(damaged) } catch is ColumnError { errors += 1 }
      }
    }
    #expect(errors > blobs.count)
  }

  @Test func absurdLengthsAreErrors() {
    let absurd: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]
    let blobs: [[UInt8]] = [
      [], [1], [9, 1, 1], [1] + absurd, [1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
      [2, 0] + absurd,
      [2, 7, 1], [3, 2, 1, 1], [3, 0] + absurd, [4, 0, 2, 0] + absurd, [4, 0, 2, 1, 3],
      [4, 2, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 3],
      [1, 4, 2] + absurd, [1, 4, 3, 0],
    ]
    for blob in blobs { #expect(throws: ColumnError.self) { try Codec.any(blob) } }
  }
}

/// Decoding into fresh columns, and random columns of every kind.
enum ColumnCodecChecks {
  static func integers(_ blob: [UInt8]) throws -> [Int32] {
    var out: [Int32] = []
    try blob.withUnsafeBytes { try ColumnDecoder().integers($0, into: &out) }
    return out
  }

  static func reals(_ blob: [UInt8]) throws -> RealColumn {
    var out = RealColumn()
    try blob.withUnsafeBytes { try ColumnDecoder().reals($0, into: &out) }
    return out
  }

  static func mask(_ blob: [UInt8]) throws -> [UInt8] {
    var out: [UInt8] = []
    try blob.withUnsafeBytes { try ColumnDecoder().mask($0, into: &out) }
    return out
  }

  static func candidates(_ blob: [UInt8]) throws -> TopLogprobs {
    var out = TopLogprobs()
    try blob.withUnsafeBytes { try ColumnDecoder().candidates($0, into: &out) }
    return out
  }

  /// Decodes a blob as what its first byte says.
  static func any(_ blob: [UInt8]) throws {
    switch blob.first.flatMap(ColumnCoding.init) {
    case .reals: _ = try reals(blob)
    case .mask: _ = try mask(blob)
    case .candidates, .candidatesWithoutPlaces: _ = try candidates(blob)
    case .candidatesWithoutIDs:
      var out = TopLogprobs()
      let isEnough = try blob.withUnsafeBytes { try ColumnDecoder().candidates($0, into: &out, withIDs: false) }
      guard isEnough else { throw ColumnError("no places") }
    case .advantages: _ = try blob.withUnsafeBytes { try ColumnDecoder().advantages($0) }
    case .integers, nil: _ = try integers(blob)
    }
  }

  static func columns(_ count: Int, using random: inout SeededGenerator) -> [RealColumn] {
    func made(_ value: () -> Double) -> [Double] { (0..<count).map { _ in value() } }
    let smooth = made { -Double(Int.random(in: 0..<4096, using: &random)) / 512 }
    let noise = made { -Double.random(in: 0..<12, using: &random) }
    let holes = made { Bool.random(using: &random) ? .nan : -Double.random(in: 0..<12, using: &random) }
    let constant = made { -1.5 }
    return [smooth, noise, holes, constant].flatMap { values in
      [
        RealColumn(floats: values.map { Float($0) }),
        RealColumn(floats: values.map { Float($0) }, precision: .float32Decimal),
        RealColumn(doubles: values),
      ]
    }
  }

  /// As many candidates in each row, other numbers of them, rows with none; logprobs as steps and as noise.
  static func candidates(rows: Int, using random: inout SeededGenerator) -> [TopLogprobs] {
    var out: [TopLogprobs] = []
    for isEven in [true, false] {
      for exponent in [0, 3, 6, 8] {
        var top = TopLogprobs()
        var doubles: [Double] = []
        for _ in 0..<rows {
          let count = isEven ? 5 : Int.random(in: 0...7, using: &random)
          let best = -Float.random(in: 0..<3, using: &random)
          for _ in 0..<count {
            let isNoise = exponent == 0 || Int.random(in: 0..<40, using: &random) == 0
            let step = Float(Int.random(in: 0..<500, using: &random)) / Float(1 << exponent)
            top.logprobs.floats.append(isNoise ? -Float.random(in: 0..<9, using: &random) : best - step)
            top.tokenIDs.append(Int32.random(in: -1..<200_000, using: &random))
            doubles.append(-Double.random(in: 0..<9, using: &random))
          }
          top.counts.append(Int32(count))
        }
        out.append(top)
        out.append(TopLogprobs(counts: top.counts, tokenIDs: top.tokenIDs, logprobs: RealColumn(doubles: doubles)))
        top.logprobs.precision = .float32Decimal
        out.append(top)
      }
    }
    return out
  }
}
