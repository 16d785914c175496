import Foundation

/// What decides the scores in a file: one with another identity is not that of this run.
public struct ScoreIdentity: Sendable {
  /// As text, a line each.
  public let text: String

  /// - Parameters:
  ///   - policy: digest of its weights.
  ///   - data: digest of the data set.
  ///   - temperature: that the policy is scored at.
  public init(policy: String, data: String, temperature: Double) {
    text = "policy \(policy)\ndata \(data)\ntemperature \(temperature)\n"
  }
}

/// Logprobs of a data set's trained nodes under one policy, on disk: a list of floats a group.
///
/// Layout, little-endian: the floats of all groups, the offset behind each group's floats (UInt64), the text of a
/// ``ScoreIdentity``, its length in bytes (UInt64), the number of groups (UInt64), and the magic number. A file that was
/// not finished has no magic number and does not open.
public final class ScoreFile {
  private let handle: FileHandle
  private let ends: [UInt64]
  /// Text of the ``ScoreIdentity`` that the file was written under.
  public let identity: String

  /// "ASCORES2".
  private static let magic: UInt64 = 0x3253_4552_4F43_5341
  private static let trailerSize: UInt64 = 24

  /// Opens a finished file.
  public init(path: String) throws {
    handle = try FileHandle(forReadingFrom: URL(filePath: path))
    let size = try handle.seekToEnd()
    guard size >= Self.trailerSize else { throw LearnerError("\(path) is cut off") }
    let trailer = try Self.words(handle, at: size - Self.trailerSize, 3)
    let (length, count) = (trailer[0], trailer[1])
    var left = size - Self.trailerSize
    guard trailer[2] == Self.magic, length <= left, count <= (left - length) / 8 else {
      throw LearnerError("\(path) is not a finished file of scores")
    }
    left -= length
    try handle.seek(toOffset: left)
    identity = String(decoding: try handle.read(upToCount: Int(length)) ?? Data(), as: UTF8.self)
    let ends = try Self.words(handle, at: left - 8 * count, Int(count))
    guard zip(ends, ends.dropFirst()).allSatisfy({ $0 <= $1 }), (ends.last ?? 0) <= size else {
      throw LearnerError("\(path) is damaged")
    }
    self.ends = ends
  }

  private static func words(_ handle: FileHandle, at offset: UInt64, _ count: Int) throws -> [UInt64] {
    try handle.seek(toOffset: offset)
    let data = try handle.read(upToCount: 8 * count) ?? Data()
    guard data.count == 8 * count else { throw LearnerError("a file of scores is cut off") }
    return data.withUnsafeBytes { bytes in
      (0..<count).map { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self)) }
    }
  }

  private static func bytes(_ words: [UInt64]) -> Data {
    Data(words.flatMap { withUnsafeBytes(of: $0.littleEndian) { Array($0) } })
  }

  deinit { try? handle.close() }

  /// Number of groups.
  public var count: Int { ends.count }

  /// The logprobs of a group's trained nodes, ascending by node.
  public func values(_ group: Int) throws -> [Float] {
    let start = group == 0 ? 0 : ends[group - 1]
    let bytes = Int(ends[group] - start)
    try handle.seek(toOffset: start)
    let data = try handle.read(upToCount: bytes) ?? Data()
    guard data.count == bytes else { throw LearnerError("a file of scores is cut off") }
    return data.withUnsafeBytes { raw in
      (0..<(bytes / 4)).map {
        Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
      }
    }
  }

  /// Scores every group of a data set under a policy and keeps the result under a path; the file appears when it is
  /// complete.
  ///
  /// - Parameter progress: called with the number of groups done; throwing ends the pass.
  public static func write(
    _ path: String, _ identity: ScoreIdentity, policy: some TrainablePolicy, data: any TrainingData, tokenBudget: Int,
    scoring: ScoringOptions,
    progress: (Int) throws -> Void
  ) throws {
    let temporary = path + ".writing"
    guard FileManager.default.createFile(atPath: temporary, contents: nil) else {
      throw LearnerError("cannot write \(temporary)")
    }
    let out = try FileHandle(forWritingTo: URL(filePath: temporary))
    defer { try? out.close() }
    let packing = TreePacking(budget: tokenBudget)
    var ends: [UInt64] = []
    var end: UInt64 = 0
    var group = 0
    var options = scoring
    options.entropies = false
    options.keepsForBackward = false
    while group < data.count {
      try progress(group)
      // As many groups as fill about a forest.
      var trees: [TrainingTree] = []
      var size = 0
      while group < data.count, trees.isEmpty || size < tokenBudget {
        let tree = try data.tree(group)
        size += tree.tokens.count
        trees.append(tree)
        group += 1
      }
      let places = TrainedPlaces(trees)
      var values = [Float](repeating: .nan, count: places.count)
      for bundle in try packing.bundles(trees) {
        for forest in bundle.forests {
          let scored = try policy.score(forest.forest, nodes: forest.scored, options: options)
          for (place, value) in zip(forest.places, scored.logprobs) { values[place] = value }
        }
      }
      if let bad = values.firstIndex(where: { !$0.isFinite }) {
        let tree = places.starts.lastIndex { $0 <= bad } ?? 0
        throw LearnerError("group \(trees[tree].label): a logprob under the policy is \(values[bad])")
      }
      for t in trees.indices {
        let part = values[places.starts[t]..<(places.starts[t] + places.nodes[t].count)]
        try out.write(contentsOf: Data(part.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { Array($0) } }))
        end += UInt64(4 * part.count)
        ends.append(end)
      }
    }
    let text = Data(identity.text.utf8)
    try out.write(contentsOf: bytes(ends) + text + bytes([UInt64(text.count), UInt64(ends.count), magic]))
    try out.synchronize()
    guard rename(temporary, path) == 0 else { throw LearnerError("cannot write \(path)") }
  }
}
