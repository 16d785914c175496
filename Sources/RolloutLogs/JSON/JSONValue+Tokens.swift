/// Numbers of a rollout log out of a document. A wrong one is an error that names the path of its keys.
extension JSONValue {
  /// A token id: a whole number from 0 that an `Int32` holds.
  func tokenID(_ path: @autoclosure () -> String) throws(RecordError) -> Int32 {
    guard let number = double else { throw RecordError(.wrongType, "\(path()) is not a token id") }
    guard let whole = int, let id = Int32(exactly: whole), id >= 0 else {
      throw RecordError(.outOfRange, "\(path()) is \(number), which is no token id")
    }
    return id
  }

  /// An array of token ids.
  func tokenIDs(_ path: @autoclosure () -> String) throws(RecordError) -> [Int32] {
    guard let elements = array else { throw RecordError(.wrongType, "\(path()) is not an array") }
    var ids: [Int32] = []
    ids.reserveCapacity(elements.count)
    for (i, element) in elements.enumerated() { ids.append(try element.tokenID("\(path())[\(i)]")) }
    return ids
  }

  /// A natural log-probability, at most 0; `nil` for null.
  func logprob(_ path: @autoclosure () -> String) throws(RecordError) -> Double? {
    if case .null = self { return nil }
    guard let value = double else { throw RecordError(.wrongType, "\(path()) is not a number") }
    guard value.isFinite else { throw RecordError(.notFinite, "\(path()) is not finite") }
    guard value <= 0 else {
      throw RecordError(.positiveLogprob, "\(path()) is \(value); a log-probability is at most 0")
    }
    return value
  }

  /// An array of log-probabilities, `nil` where the log has null.
  func logprobs(_ path: @autoclosure () -> String) throws(RecordError) -> [Double?] {
    guard let elements = array else { throw RecordError(.wrongType, "\(path()) is not an array") }
    var out: [Double?] = []
    out.reserveCapacity(elements.count)
    for (i, element) in elements.enumerated() { out.append(try element.logprob("\(path())[\(i)]")) }
    return out
  }

  /// A member that is a whole number; `nil` if it is absent or null.
  func wholeNumber(_ key: String) throws(RecordError) -> Int? {
    guard let value = self[key] else { return nil }
    guard let number = value.int else { throw RecordError(.wrongType, "\(key) is not a whole number") }
    return number
  }

  /// A string as it is, anything else as JSON text: ground truths and tool outputs come in every shape.
  var looseText: String { string ?? text() }

  /// The members that are not null and whose keys are not in the list, as the text of a JSON object.
  func others(_ known: Set<String>) -> String? {
    let rest = (members ?? []).filter { $0.value != .null && !known.contains($0.key) }
    return rest.isEmpty ? nil : JSONValue.object(rest).text()
  }
}
