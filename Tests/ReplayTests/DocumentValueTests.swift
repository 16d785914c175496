import Replay
import Testing

@Suite struct DocumentValueTests {
  @Test(arguments: [
    (DocumentValue.double(0.1), "0.1"), (.double(-3), "-3"), (.double(-0.0), "0"),
    (.double(1e15), "1000000000000000.0"),
    (.double(.nan), "null"), (.double(.infinity), "null"), (.int(7), "7"), (.bool(true), "true"), (.null, "null"),
    (.string("a\"b\\\n\u{1}é"), #""a\"b\\\n\u0001é""#),
    (.object([("b", .array([.int(1), .null])), ("a", .object([]))]), #"{"b":[1,null],"a":{}}"#),
    (.number(nil), "null"), (.integer(3), "3"), (.text(nil), "null"),
  ])
  func json(value: DocumentValue, expected: String) {
    #expect(value.json == expected)
  }

  @Test func doublesReadBack() {
    for x in [0.1 + 0.2, 1e-300, 123456789.123456, 2.5e-308, 1.7976931348623157e308] {
      #expect(Double(DocumentValue.double(x).json) == x)
    }
  }

  @Test func members() {
    let value = DocumentValue.object([("a", .int(1)), ("b", .null)])
    #expect(value["a"] == .int(1) && value["c"] == nil && value != .object([("a", .int(1))]))
  }
}
