import Rollouts

extension LoggedChoice {
  /// Adds the sampled tokens, in whichever of the three ways the choice gives them.
  /// - Parameter choices: how many choices the reply has, because `usage` counts the tokens of all.
  /// - Returns: the message, without an echoed prompt.
  func addTokens(to tokens: inout SampledTokens, request: JSONValue?, usage: JSONValue?, choices: Int)
    throws(RecordError) -> AssistantMessage
  {
    var message = message
    if !chatTokens.isEmpty {
      try addChat(to: &tokens)
    } else if !tokenTexts.isEmpty {
      let skipped = try echoed(request: request, usage: usage, choices: choices)
      try addCompletion(to: &tokens, skipping: skipped)
      if skipped > 0 { message.content = withoutPrompt(request: request, skipped: skipped) }
    } else if let ids = tokenIDs {
      for id in ids { try tokens.add(SampledTokens.Name(id: id), logprob: nil, "choices[\(index)].token_ids") }
    }
    return message
  }

  // MARK: Chat

  private func addChat(to tokens: inout SampledTokens) throws(RecordError) {
    let path = "choices[\(index)].logprobs.content"
    let ids = try checkedIDs(count: chatTokens.count, path)
    for (i, entry) in chatTokens.enumerated() {
      guard entry.members != nil else { throw RecordError(.wrongType, "\(path)[\(i)] is not an object") }
      var name = try Self.name(entry, "\(path)[\(i)]")
      if let ids { try name.identify(as: ids[i], "\(path)[\(i)]") }
      let logprob = try entry["logprob"]?.logprob("\(path)[\(i)].logprob")
      try tokens.add(name, logprob: logprob, "\(path)[\(i)]")
      guard let top = entry["top_logprobs"] else { continue }
      guard let top = top.array else { throw RecordError(.wrongType, "\(path)[\(i)].top_logprobs is not an array") }
      for (k, candidate) in top.enumerated() {
        let place = { "\(path)[\(i)].top_logprobs[\(k)]" }
        guard candidate.members != nil else { throw RecordError(.wrongType, "\(place()) is not an object") }
        let value = try candidate["logprob"]?.logprob("\(place()).logprob")
        tokens.addCandidate(try Self.name(candidate, place()), logprob: value)
      }
    }
  }

  /// `token_ids` of the choice, which must be as many as the tokens.
  private func checkedIDs(count: Int, _ path: String) throws(RecordError) -> [Int32]? {
    guard let ids = tokenIDs, !ids.isEmpty else { return nil }
    guard ids.count == count else {
      throw RecordError(.lengthMismatch, "choices[\(index)].token_ids has \(ids.count) elements, \(path) has \(count)")
    }
    return ids
  }

  /// The name of a token in a list of chat logprobs.
  private static func name(_ entry: JSONValue, _ path: @autoclosure () -> String) throws(RecordError)
    -> SampledTokens.Name
  {
    guard let text = entry["token"]?.string else {
      throw RecordError(entry["token"] == nil ? .missingField : .wrongType, "\(path()).token is no text")
    }
    var name = SampledTokens.Name(text: text)
    if let list = entry["bytes"] {
      guard let array = list.array else { throw RecordError(.wrongType, "\(path()).bytes is not an array") }
      var bytes: [UInt8] = []
      bytes.reserveCapacity(array.count)
      for element in array {
        guard let byte = element.int.flatMap(UInt8.init(exactly:)) else {
          throw RecordError(.outOfRange, "\(path()).bytes holds something that is no byte")
        }
        bytes.append(byte)
      }
      name.bytes = bytes
    }
    try name.resolveID(path())
    return name
  }

  // MARK: Text completion

  private func addCompletion(to tokens: inout SampledTokens, skipping skipped: Int) throws(RecordError) {
    let path = "choices[\(index)].logprobs"
    let count = tokenTexts.count
    for (what, n) in [("token_logprobs", tokenLogprobs.count), ("top_logprobs", tokenCandidates.count)]
    where n != count && n != 0 {
      throw RecordError(.lengthMismatch, "\(path).\(what) has \(n) elements, tokens has \(count)")
    }
    let ids = try checkedIDs(count: count - skipped, "\(path).tokens")
    for i in skipped..<count {
      guard let text = tokenTexts[i].string else {
        throw RecordError(.wrongType, "\(path).tokens[\(i)] is not a string")
      }
      var name = SampledTokens.Name(text: text)
      try name.resolveID("\(path).tokens[\(i)]")
      if let ids { try name.identify(as: ids[i - skipped], "\(path).tokens[\(i)]") }
      let logprob = tokenLogprobs.isEmpty ? nil : try tokenLogprobs[i].logprob("\(path).token_logprobs[\(i)]")
      try tokens.add(name, logprob: logprob, "\(path).tokens[\(i)]")
      guard !tokenCandidates.isEmpty, tokenCandidates[i] != .null else { continue }
      guard let members = tokenCandidates[i].members else {
        throw RecordError(.wrongType, "\(path).top_logprobs[\(i)] is not an object")
      }
      for member in members {
        var candidate = SampledTokens.Name(text: member.key)
        try candidate.resolveID("\(path).top_logprobs[\(i)]")
        let value = try member.value.logprob("\(path).top_logprobs[\(i)]")
        tokens.addCandidate(candidate, logprob: value)
      }
    }
  }

  /// How many tokens at the front repeat the prompt (`echo`); the first of all has no logprob then.
  private func echoed(request: JSONValue?, usage: JSONValue?, choices: Int) throws(RecordError) -> Int {
    let isEcho = request?["echo"]?.bool ?? (tokenLogprobs.first == .null)
    guard isEcho else { return 0 }
    let count = tokenTexts.count
    if let ids = tokenIDs, !ids.isEmpty, ids.count <= count { return count - ids.count }
    if let n = promptTokenIDs?.count ?? usage?["prompt_tokens"]?.int, n >= 0, n <= count { return n }
    if choices == 1, let n = usage?["completion_tokens"]?.int, n >= 0, n <= count { return count - n }
    if let prompt = request?["prompt"]?.string, textOffsets.count == count {
      let length = prompt.unicodeScalars.count
      return textOffsets.firstIndex { ($0.int ?? 0) >= length } ?? count
    }
    guard request?["echo"]?.bool == true else { return 0 }
    throw RecordError(
      .missingField,
      "choices[\(index)] echoes its prompt, and nothing says where the prompt ends (prompt_token_ids, usage)")
  }

  private func withoutPrompt(request: JSONValue?, skipped: Int) -> String {
    let all = Array(message.content.utf8)
    let length =
      request?["prompt"]?.string.map(\.utf8.count)
      ?? tokenTexts[..<skipped].reduce(0) { $0 + ($1.string?.utf8.count ?? 0) }
    return length <= all.count ? String(decoding: all[length...], as: UTF8.self) : ""
  }
}

extension SampledTokens.Name {
  /// Takes the id out of a text like `token_id:123`, which vLLM writes on request; the text is unknown then.
  mutating func resolveID(_ path: @autoclosure () -> String) throws(RecordError) {
    guard let text, text.utf8.starts(with: "token_id:".utf8) else { return }
    let digits = text.utf8.dropFirst(9)
    guard let number = Int32(String(decoding: digits, as: UTF8.self)), number >= 0, digits.first != UInt8(ascii: "+")
    else {
      throw RecordError(.outOfRange, "\(path()): \"\(text.prefix(40))\" is no token id")
    }
    id = number
    // The bytes are of use only where they are not those of "token_id:123" itself.
    let isOwnText = bytes.map { $0.elementsEqual(text.utf8) } ?? true
    if isOwnText { bytes = nil }
    self.text = nil
  }

  /// Sets the id that the reply gives beside the texts; it must be the one that the text says.
  mutating func identify(as other: Int32, _ path: @autoclosure () -> String) throws(RecordError) {
    guard id == nil || id == other else {
      throw RecordError(.duplicateDisagrees, "\(path()) is token \(id ?? 0), token_ids says \(other)")
    }
    id = other
  }
}
