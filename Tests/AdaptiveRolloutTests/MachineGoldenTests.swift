import AdaptiveRollout
import Foundation
import Testing
import TestSupport

/// The loops of ARPO and AEPO as `Tests/Scripts/make_branching.py` wrote them down: the machine decides and acts the same.
@Suite struct MachineGoldenTests {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    struct Seen: Decodable {
      var rollout: Int
      var entropies: [Double?]
      var after: [Double?]?
      var ending: String
      var draws: [Double]
    }

    struct Round: Decodable {
      var seen: [Seen]
      var others: Bool
      var decisions: [[Mixed]]
      var actions: [[Mixed]]
      var consecutive: Int
    }

    var rule: [Mixed]
    var rollouts: Int
    var initial: Int
    var attempts: Int
    var normalizer: Double
    var timing: String
    var limit: Int?
    var start: [[Mixed]]
    var rounds: [Round]

    var testDescription: String { "\(rule.first?.text ?? "") M \(rollouts) N \(initial) Z \(attempts) \(timing)" }

    var plan: RolloutPlan {
      let n = rule.dropFirst().compactMap(\.number)
      let branchRule: BranchRule =
        switch rule.first?.text {
        case "arpo-code": .arpoCode(branchProbability: n[0], entropyWeight: n[1])
        case "arpo-paper": .arpoPaper(alpha: n[0], beta: n[1], tau: n[2])
        case "aepo-code": .aepoCode(branchProbability: n[0], entropyWeight: n[1])
        default: .aepoPaper(alpha: n[0], gamma: n[1], tau: n[2], slope: n[3])
        }
      return RolloutPlan(
        strategy: .adaptive(
          AdaptiveBranching(
            rule: branchRule, initialRollouts: initial, attempts: attempts,
            timing: BranchTiming(rawValue: timing) ?? .lagged, normalizer: normalizer,
            topUp: branchRule.isPaper ? .all : .onePerRound)), rollouts: rollouts, callLimit: limit)
    }
  }

  /// A JSON value that is a number, a text or null.
  enum Mixed: Decodable, Equatable {
    case number(Double), text(String), null

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if value.decodeNil() {
        self = .null
      } else if let x = try? value.decode(Double.self) {
        self = .number(x)
      } else {
        self = .text(try value.decode(String.self))
      }
    }

    var number: Double? { if case .number(let x) = self { x } else { nil } }
    var text: String? { if case .text(let x) = self { x } else { nil } }

    static func integer(_ x: Int?) -> Mixed { x.map { .number(Double($0)) } ?? .null }
  }

  static let cases: [Case] = {
    let url = TestPaths.fixtures.appending(path: "branching/machine.json")
    return (try? JSONDecoder().decode([Case].self, from: Data(contentsOf: url))) ?? []
  }()

  @Test func thereAreCases() { #expect(Self.cases.count == 50) }

  private func written(_ action: RolloutAction) -> [Mixed] {
    switch action {
    case .premonitor: []
    case .begin(let r, let left): [.text("begin"), .integer(r), .integer(left)]
    case .advance(let r, let left): [.text("advance"), .integer(r), .integer(left)]
    case .fork(let r, let parent, let segments, let left):
      [.text("fork"), .integer(r), .integer(parent), .integer(segments), .integer(left)]
    }
  }

  private func word(_ outcome: BranchDecision.Outcome) -> String {
    switch outcome {
    case .branched: "branched"
    case .declined: "declined"
    case .noBudget: "no-budget"
    case .unknown: "unknown"
    }
  }

  @Test(arguments: cases) func everyRound(_ c: Case) throws {
    var machine = AdaptiveRollout(c.plan, seed: 0)
    #expect(machine.start().map(written) == c.start)
    for round in c.rounds {
      let got = try machine.observe(
        round.seen.map { seen in
          SegmentOutcome(
            rollout: seen.rollout, entropies: seen.entropies.map { $0 ?? .nan },
            entropiesAfterResult: seen.after?.map { $0 ?? .nan },
            ending: seen.ending == "finished" ? .finished : .toolCalls(1), recorded: seen.draws.map { .draw($0) })
        }, othersBranched: round.others)
      #expect(got.actions.map(written) == round.actions)
      #expect(machine.consecutive == round.consecutive)
      try #require(got.decisions.count == round.decisions.count)
      for (decision, expected) in zip(got.decisions, round.decisions) {
        #expect(Mixed.integer(decision.rollout) == expected[0] && .text(word(decision.outcome)) == expected[2])
        #expect(Mixed.integer(decision.fork) == expected[3])
        #expect((decision.deltaH == nil) == (expected[1] == .null))
        if let x = decision.deltaH {
          let y = try #require(expected[1].number)
          #expect(abs(x - y) <= 1e-12 * max(1, abs(y)))
        }
      }
    }
    #expect(machine.isComplete && machine.kept.count == c.rollouts)
  }
}
