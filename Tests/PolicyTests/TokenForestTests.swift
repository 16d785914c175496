import TestSupport
import Testing

@testable import Policy

@Suite("Token forest")
struct TokenForestTests {
  @Test("depths and segments")
  func segments() throws {
    let forest = try TokenForest(
      tokens: [5, 6, 7, 8, 9, 1, 2, 3], parents: [-1, 0, 1, 2, 1, 4, -1, 6])
    #expect(forest.positions == [0, 1, 2, 3, 2, 3, 0, 1])
    #expect(
      forest.segments == [
        ForestSegment(nodes: 0..<2, parent: -1), ForestSegment(nodes: 2..<4, parent: 0),
        ForestSegment(nodes: 4..<6, parent: 0), ForestSegment(nodes: 6..<8, parent: -1),
      ])
    #expect(forest.ancestors(of: 2) == [0..<2])
  }

  @Test("ancestor ranges are the ancestors", arguments: 0..<20)
  func ancestors(_ seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let forest = try RandomForest.make(nodes: 80, using: &generator, vocabulary: 5)
    #expect(forest.segments.flatMap(\.nodes) == Array(0..<forest.count))
    for (i, segment) in forest.segments.enumerated() {
      for node in segment.nodes {
        var expected: Set<Int> = []
        var ancestor = Int(forest.parents[node])
        while ancestor >= 0 {
          expected.insert(ancestor)
          ancestor = Int(forest.parents[ancestor])
        }
        #expect(Int(forest.positions[node]) == expected.count)
        #expect(Set(forest.ancestors(of: i).flatMap { $0 } + segment.nodes.filter { $0 < node }) == expected)
      }
      let ranges = forest.ancestors(of: i)
      #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
    }
  }

  @Test(
    "other orders are refused",
    arguments: [[1, -1], [0, -1], [-1, 0, 0, 1], [-1, 2, 0], [-2, 0], [-1, -1, 0], [-1, 0, 5]])
  func order(_ parents: [Int32]) {
    #expect(
      policyError { _ = try TokenForest(tokens: parents.map { _ in 1 }, parents: parents) }?.code == .mismatch)
  }

  @Test("lengths that differ are refused")
  func lengths() {
    #expect(policyError { _ = try TokenForest(tokens: [1], parents: []) }?.code == .mismatch)
  }

  @Test("sequences are chains")
  func sequences() throws {
    let forest = try TokenForest(sequences: [[1, 2], [], [3]])
    #expect(forest.parents == [-1, 0, -1] && forest.tokens == [1, 2, 3])
  }

  @Test("random parents are a forest in depth-first order, or refused", arguments: 0..<40)
  func fuzz(_ seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    for _ in 0..<50 {
      let count = Int.random(in: 0...7, using: &generator)
      let parents = (0..<count).map { _ in Int32.random(in: -2..<Int32(count), using: &generator) }
      // By the definition: the parent is the node before, or an ancestor of it.
      var paths: [[Int32]] = []
      for (i, parent) in parents.enumerated() {
        let before = paths.last ?? []
        guard parent == -1 || before.contains(parent) else { break }
        paths.append((parent == -1 ? [] : Array(before.prefix { $0 != parent }) + [parent]) + [Int32(i)])
      }
      let forest = try? TokenForest(tokens: parents, parents: parents)
      #expect((forest != nil) == (paths.count == count))
      if let forest { #expect(forest.positions == paths.map { Int32($0.count) - 1 }) }
    }
  }
}
