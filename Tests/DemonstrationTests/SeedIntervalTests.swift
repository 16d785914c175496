import Testing

@testable import Demonstration

@Suite struct SeedIntervalTests {
  @Test func studentsIntervalByHand() throws {
    let x = SeedInterval([1, 2, 3])
    #expect(x.mean == 2)
    // t = 4.303 with two degrees of freedom, standard error 1 / sqrt 3.
    #expect(abs((x.halfWidth ?? 0) - 4.303 / 3.0.squareRoot()) < 1e-12)
    #expect(x.isDifferent == false)
    #expect(SeedInterval([2, 2.1, 1.9]).isDifferent == true)
    #expect(SeedInterval([-2, -2.1, -1.9]).isDifferent == true)
  }

  @Test func oneSeedHasNoInterval() {
    let x = SeedInterval([0.5])
    #expect(x.halfWidth == nil)
    #expect(x.isDifferent == nil)
  }

  @Test func equalValuesAreSure() throws {
    let interval = try #require(SeedInterval([1, 1, 1, 1]).interval)
    #expect(interval.low == 1 && interval.high == 1)
    #expect(SeedInterval([0, 0]).isDifferent == false)
  }
}
