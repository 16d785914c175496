import Foundation
import TestSupport
import Testing

@testable import Policy

@Suite("tries of sequences")
struct TrieTests {
  /// Sequences that branch now and then.
  static func sequences(seed: UInt64, count: Int, length: ClosedRange<Int>) -> [[Int32]] {
    var generator = SeededGenerator(seed: seed)
    var out: [[Int32]] = []
    for _ in 0..<count {
      let base = out.randomElement(using: &generator) ?? []
      let shared = Int.random(in: 0...base.count, using: &generator)
      let more = Int.random(in: length, using: &generator)
      out.append(base.prefix(shared) + (0..<more).map { _ in Int32.random(in: 0..<3, using: &generator) })
    }
    return out
  }

  @Test("a trie holds every prefix once, in depth-first order", arguments: 0..<20)
  func prefixes(_ seed: Int) {
    let sequences = Self.sequences(seed: UInt64(seed), count: 12, length: 0...12)
    var trie = SequenceTrie()
    let nodes = sequences.map { trie.insert($0) }
    let prefixes = Set(sequences.flatMap { s in s.indices.map { Array(s[...$0]) } })
    #expect(trie.count == prefixes.count)
    for (sequence, nodes) in zip(sequences, nodes) {
      #expect(nodes.map { trie.tokens[Int($0)] } == sequence)
      for (a, b) in zip(nodes, nodes.dropFirst()) { #expect(trie.parents[Int(b)] == a) }
    }
    #expect(Set(trie.preorder()) == Set((0..<trie.count).map { Int32($0) }))
  }

  @Test("cut into batches of any size, every node gets the value that its path has, once", arguments: 0..<20)
  func batches(_ seed: Int) throws {
    let sequences = Self.sequences(seed: UInt64(seed), count: 15, length: 1...25)
    var trie = SequenceTrie()
    let nodes = sequences.map { trie.insert($0) }
    let longest = sequences.map(\.count).max() ?? 0
    for budget in [1, 2, 7, 30, 100, 10_000] {
      let scorer = HashScorer(vocabularySize: 9)
      let scores = try TrieScores(
        of: trie, wanted: [Bool](repeating: true, count: trie.count), temperature: 0.5, topK: 2, budget: budget,
        by: scorer)
      for (sequence, nodes) in zip(sequences, nodes) {
        for (i, node) in nodes.enumerated() {
          let n = Int(node)
          let expected = HashScorer.value(Array(sequence[...i]), 1) / 0.5
          #expect(i == 0 ? scores.logprobs[n].isNaN : scores.logprobs[n] == expected)
          if i > 0 {
            #expect(scores.entropies[n] == -HashScorer.value(Array(sequence[..<i]), 2) / 0.5)
            #expect(scores.candidateIDs[(2 * n)..<(2 * n + 2)] == [0, 1])
          }
        }
      }
      let scored = scorer.batches.reduce(0) { $0 + $1.nodes.count }
      #expect(scored == trie.count - trie.parents.count { $0 < 0 })
      for batch in scorer.batches { #expect(batch.tokens.count <= max(budget, 2 * longest)) }
      if budget == 10_000 { #expect(scorer.batches.count == 1 && scores.computed == trie.count) }
    }
  }

  @Test("only what is wanted is scored; nothing wanted computes nothing")
  func wanted() throws {
    var trie = SequenceTrie()
    let nodes = trie.insert([1, 2, 3, 4])
    let scorer = HashScorer(vocabularySize: 9)
    var wanted = [Bool](repeating: false, count: trie.count)
    _ = try TrieScores(of: trie, wanted: wanted, temperature: 1, topK: 0, budget: 10, by: scorer)
    #expect(scorer.batches.isEmpty)
    wanted[Int(nodes[2])] = true
    let scores = try TrieScores(of: trie, wanted: wanted, temperature: 1, topK: 0, budget: 10, by: scorer)
    #expect(scores.logprobs.map(\.isNaN) == [true, true, false, true])
    #expect(scores.candidateIDs.isEmpty)
  }

  @Test("an interruption ends the work")
  func interruption() {
    struct Stop: Error {}
    var trie = SequenceTrie()
    _ = trie.insert([1, 2, 3])
    #expect(throws: Stop.self) {
      _ = try TrieScores(
        of: trie, wanted: [true, true, true], temperature: 1, topK: 0, budget: 10, by: HashScorer(vocabularySize: 9)
      ) { throw Stop() }
    }
  }
}
