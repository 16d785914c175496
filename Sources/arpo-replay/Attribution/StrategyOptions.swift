import ArgumentParser
import Replay

/// Which strategies a command applies, with which numbers.
struct StrategyOptions: ParsableArguments {
  @Option(
    name: [.customLong("strategy"), .customLong("strategies")],
    help: ArgumentHelp(
      "Names with commas between, or all; repeatable. arpo-replay attribute --list-strategies shows them.",
      valueName: "names"))
  var names: [String] = []

  @Option(
    name: .customLong("param"),
    help: ArgumentHelp("A number of a strategy, as dapo.cap=20480; repeatable.", valueName: "strategy.name=value"))
  var settings: [String] = []

  /// The strategies.
  ///
  /// - Parameter otherwise: names to take if none is given.
  func chosen(otherwise: [String]) throws -> [any AttributionStrategy] {
    var asked = names.flatMap { $0.split(separator: ",") }.map { $0.filter { !$0.isWhitespace } }
    if asked.isEmpty { asked = otherwise }
    asked = asked.flatMap { $0 == "all" ? AttributionStrategies.all.map(\.name) : [$0] }
    let settings = try settings.map(Self.setting)
    do {
      return try AttributionStrategies.chosen(asked, settings: settings)
    } catch {
      throw ValidationError("\(error)")
    }
  }

  /// `strategy.name=value`; a strategy's name may hold a point, a parameter's does not.
  private static func setting(_ text: String) throws -> (strategy: String, parameter: String, value: Double) {
    guard let equals = text.firstIndex(of: "="), let point = text[..<equals].lastIndex(of: "."),
      let value = Double(text[text.index(after: equals)...]), value.isFinite
    else { throw ValidationError("--param wants strategy.name=value such as dapo.cap=20480, not \(text)") }
    return (String(text[..<point]), String(text[text.index(after: point)..<equals]), value)
  }
}
