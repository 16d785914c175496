import Foundation
import Replay
import Rollouts
import Testing
import TestSupport

@Suite struct AnalysisDocumentGoldenTests {
  /// Every part of the document of every golden log, to the tolerance of doubles.
  @Test(arguments: Goldens.names)
  func everyPart(name: String) throws {
    let expected = try Goldens.expected(name)
    var temperature: TemperatureChange?
    if let rescaled = expected["at_temperature"] as? [String: Any], let from = rescaled["from"] as? Double,
      let to = rescaled["to"] as? Double
    {
      temperature = TemperatureChange(from: from, to: to)
    }
    var document = AnalysisDocument(temperature: temperature)
    for group in try Goldens.groups(name) { try document.add(group) }
    let parts = try document.finish()
    let known = Set(AnalysisDocument.Part.allCases.map(\.rawValue))
    #expect(Set(parts.map(\.key)) == known.intersection(expected.keys))
    for (key, value) in parts {
      // The shortest decimals read back to the same doubles, so nothing is lost on the way through text.
      let got = try JSONSerialization.jsonObject(with: Data(value.json.utf8), options: .fragmentsAllowed)
      let differences = GoldenJSON.differences(got, expected[key] as Any, tolerance: 1e-9, at: key)
      #expect(differences.isEmpty, "\(differences.prefix(5))")
    }
  }
}
