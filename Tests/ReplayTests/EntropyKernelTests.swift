import CKernels
import Foundation
import Testing
import TestSupport

@Suite struct EntropyKernelTests {
  private func kernelExp(_ x: [Double]) -> [Double] {
    var out = [Double](repeating: 0, count: x.count)
    arpo_exp(x, x.count, &out)
    return out
  }

  private func kernelLog(_ x: [Double]) -> [Double] {
    var out = [Double](repeating: 0, count: x.count)
    arpo_log(x, x.count, &out)
    return out
  }

  @Test(arguments: [1e-12, 1e-3, 1, 40, 700])
  func expOfRandomNumbers(scale: Double) {
    var random = SeededGenerator(seed: 11)
    let x = (0..<100_003).map { _ in Double.random(in: -1...1, using: &random) * scale }
    for (x, y) in zip(x, kernelExp(x)) {
      let expected = exp(x)
      if abs(y - expected) > 4e-16 * expected {
        Issue.record("exp(\(x)) = \(y), expected \(expected)")
        return
      }
    }
  }

  @Test func expAtTheEdges() {
    let got = kernelExp([0, -0.0, -.infinity, .nan, -1e300, -745.2, -708, 1, -1, 709])
    #expect(got[0] == 1 && got[1] == 1)
    #expect(got[2...6].allSatisfy { $0 == 0 })
    #expect(abs(got[7] - M_E) < 1e-15 && abs(got[8] - 1 / M_E) < 1e-15)
    #expect(abs(got[9] / exp(709) - 1) < 4e-16)
    // Every length, so that every remainder of a vector is met.
    for n in 0..<40 { #expect(kernelExp([Double](repeating: -1, count: n)).allSatisfy { $0 == got[8] }) }
  }

  @Test(arguments: [1e-300, 1e-16, 0.5, 1, 3, 1e300])
  func logOfRandomNumbers(scale: Double) {
    var random = SeededGenerator(seed: 12)
    let x = (0..<100_003).map { _ in Double.random(in: 0.2...1, using: &random) * scale } + [1, 2, 0.5]
    for (x, y) in zip(x, kernelLog(x)) {
      let expected = log(x)
      if abs(y - expected) > 5e-16 * abs(expected) {
        Issue.record("log(\(x)) = \(y), expected \(expected)")
        return
      }
    }
    #expect(kernelLog([1]) == [0])
  }
}
