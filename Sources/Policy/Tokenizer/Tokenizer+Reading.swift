import Foundation
internal import RolloutLogs

// `tokenizer.json` of the `tokenizers` library, version 1.0. Whatever changes ids or text and is not known here is refused
// by name.
extension Tokenizer {
  static let fileName = "tokenizer.json"

  /// Reads the `tokenizer.json` of a checkpoint folder.
  /// - Throws: ``PolicyError``: `unreadable`, `malformed`, or `unsupported`, naming the part that is not known.
  public convenience init(directory: String) throws(PolicyError) {
    try self.init(path: directory + "/" + Self.fileName)
  }

  /// Reads a `tokenizer.json`.
  /// - Throws: ``PolicyError`` as for a folder.
  public convenience init(path: String) throws(PolicyError) {
    let json = try SmallJSON.read(path, maxByteCount: 500_000_000)
    do throws(PolicyError) {
      try self.init(json)
    } catch {
      throw error.at(path)
    }
  }

  convenience init(_ json: JSONValue) throws(PolicyError) {
    guard json.members != nil else { throw PolicyError(.malformed, "is not a JSON object") }
    let model = try Self.model(json)
    let entries = try Self.entries(model)
    let added = try Self.addedTokens(json["added_tokens"], entries)

    var bytes = [[UInt8]?](repeating: nil, count: max(entries.size, (added.map { Int($0.id) + 1 }).max() ?? 0))
    var isWord = [Bool](repeating: false, count: bytes.count)
    for (name, id) in entries.ids {
      let decoded = ByteAlphabet.bytes(of: name.text)
      bytes[Int(id)] = decoded ?? name.bytes
      isWord[Int(id)] = decoded != nil
    }
    // The decoder of the reference maps the characters of every token back to bytes, added ones too, if it can.
    for token in added {
      bytes[Int(token.id)] = ByteAlphabet.bytes(of: String(decoding: token.content, as: UTF8.self)) ?? token.content
    }
    var byteIDs: [Int32] = []
    for (byte, scalar) in ByteAlphabet.scalars.enumerated() {
      let name = Unicode.Scalar(scalar).map { String($0) } ?? ""
      guard let id = entries.ids[Name(name)] else {
        throw PolicyError(.unsupported, "not supported: a vocabulary without a token for the byte \(byte)")
      }
      byteIDs.append(id)
    }
    let processed = try Self.template(json["post_processor"])
    for id in processed.prefix + processed.suffix where id < 0 || id >= bytes.count || bytes[Int(id)] == nil {
      throw PolicyError(.mismatch, "post_processor adds the id \(id), which no token has")
    }
    try Self.checkDecoder(json["decoder"])
    self.init(
      vocabulary: Vocabulary(entries: bytes, findable: { isWord[$0] }),
      merges: try Self.merges(model, entries), byteIDs: byteIDs, pattern: try Self.pattern(json["pre_tokenizer"]),
      normalizes: try Self.normalizes(json["normalizer"]), ignoresMerges: try Self.flag(model, "ignore_merges"),
      addedTokens: added, prefix: processed.prefix, suffix: processed.suffix)
  }

  // MARK: Vocabulary and merges

  /// A token's name by its bytes: a String as a key would take canonically equivalent names as one.
  struct Name: Hashable {
    var text: String
    init(_ text: String) { self.text = text }
    var bytes: [UInt8] { Array(text.utf8) }

    static func == (a: Name, b: Name) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

    func hash(into hasher: inout Hasher) {
      var text = text
      text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
  }

  struct Entries {
    var ids: [Name: Int32]
    /// One behind the highest id.
    var size: Int
  }

  // An id is an index into tables of that size; the limit keeps a lying file from asking for all memory.
  private static let maxID = 1 << 24

  private static func unsupported(_ what: String) -> PolicyError { PolicyError(.unsupported, "not supported: \(what)") }

  private static func shown(_ value: JSONValue?) -> String {
    SafetensorsHeader.quoted(value.map { $0.string ?? $0.text() } ?? "null")
  }

  private static func flag(_ json: JSONValue, _ key: String) throws(PolicyError) -> Bool {
    guard let value = json[key] else { return false }
    guard let flag = value.bool else { throw PolicyError(.malformed, "\(key) is neither true nor false") }
    return flag
  }

  private static func model(_ json: JSONValue) throws(PolicyError) -> JSONValue {
    guard let model = json["model"], model.members != nil else { throw PolicyError(.malformed, "has no model") }
    guard model["type"] == nil || model["type"] == .string("BPE") else {
      throw unsupported("the model type \(shown(model["type"]))")
    }
    if let dropout = model["dropout"], dropout.double != 0 { throw unsupported("dropout in the model") }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let text = model[key], text != .string("") { throw unsupported("\(key) \(shown(text))") }
    }
    if try flag(model, "byte_fallback") { throw unsupported("byte_fallback; only byte-level vocabularies are known") }
    return model
  }

  private static func entries(_ model: JSONValue) throws(PolicyError) -> Entries {
    guard let members = model["vocab"]?.members else { throw PolicyError(.malformed, "the model has no vocab") }
    var entries = Entries(ids: [:], size: 0)
    entries.ids.reserveCapacity(members.count)
    var taken: Set<Int32> = []
    taken.reserveCapacity(members.count)
    for member in members {
      let id = try id(member.value, "the vocab's id of \(SafetensorsHeader.quoted(member.key))")
      guard taken.insert(id).inserted else {
        throw PolicyError(.malformed, "two tokens of the vocab have the id \(id)")
      }
      entries.ids[Name(member.key)] = id
      entries.size = max(entries.size, Int(id) + 1)
    }
    return entries
  }

  private static func id(_ value: JSONValue?, _ what: String) throws(PolicyError) -> Int32 {
    guard case .int(let number)? = value, (0..<Int64(maxID)).contains(number) else {
      throw PolicyError(.malformed, "\(what) is not a whole number from 0 to \(maxID - 1)")
    }
    return Int32(number)
  }

  private static func merges(_ model: JSONValue, _ entries: Entries) throws(PolicyError) -> MergeTable {
    guard let list = model["merges"]?.array else { throw PolicyError(.malformed, "the model has no merges") }
    var merges: [(left: Int32, right: Int32, merged: Int32)] = []
    merges.reserveCapacity(list.count)
    for (rank, element) in list.enumerated() {
      var sides: [String] = []
      if let text = element.string {
        // Up to version 0.19 a merge was one string, with a blank between its sides.
        sides = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
      } else if let pair = element.array {
        sides = pair.compactMap(\.string)
      }
      guard sides.count == 2 else { throw PolicyError(.malformed, "merge \(rank) is not a pair of tokens") }
      guard let left = entries.ids[Name(sides[0])], let right = entries.ids[Name(sides[1])],
        let merged = entries.ids[Name(sides[0] + sides[1])]
      else {
        throw PolicyError(
          .malformed,
          "merge \(rank), \(shown(.string(sides.joined(separator: " ")))), has a token out of the vocabulary")
      }
      merges.append((left, right, merged))
    }
    return MergeTable(merges)
  }

  private static func addedTokens(_ json: JSONValue?, _ entries: Entries) throws(PolicyError) -> [AddedToken] {
    guard let json else { return [] }
    guard let list = json.array else { throw PolicyError(.malformed, "added_tokens is not an array") }
    var names = [Int32: Name](minimumCapacity: entries.ids.count)
    for (name, id) in entries.ids { names[id] = name }
    var seen: Set<Name> = []
    var tokens: [AddedToken] = []
    for element in list {
      let id = try id(element["id"], "the id of an added token")
      guard let content = element["content"]?.string else {
        throw PolicyError(.malformed, "the added token \(id) has no content")
      }
      let name = Name(content)
      let expected = entries.ids[name] ?? id
      guard expected == id, names[id] == nil || names[id] == name, seen.insert(name).inserted else {
        throw PolicyError(.malformed, "the added token \(shown(.string(content))) and the id \(id) do not fit")
      }
      names[id] = name
      // The reference never finds an empty token.
      if content.isEmpty { continue }
      tokens.append(
        AddedToken(
          id: id, content: name.bytes, isSpecial: try flag(element, "special"),
          isNormalized: try flag(element, "normalized"), stripsLeft: try flag(element, "lstrip"),
          stripsRight: try flag(element, "rstrip"), isSingleWord: try flag(element, "single_word")))
    }
    return tokens
  }

  // MARK: What happens around the model

  private static func normalizes(_ json: JSONValue?) throws(PolicyError) -> Bool {
    guard let json else { return false }
    switch json["type"]?.string {
    case "NFC": return true
    case "Sequence":
      var any = false
      for part in json["normalizers"]?.array ?? [] where try normalizes(part) { any = true }
      return any
    default: throw unsupported("the normalizer \(shown(json["type"]))")
    }
  }

  private static func pattern(_ json: JSONValue?) throws(PolicyError) -> SplitPattern {
    guard json?["type"] == .string("Sequence"), let parts = json?["pretokenizers"]?.array, parts.count == 2,
      parts[0]["type"] == .string("Split"), parts[1]["type"] == .string("ByteLevel")
    else {
      throw unsupported("the pre_tokenizer \(shown(json?["type"])); known is a Sequence of Split and ByteLevel")
    }
    guard parts[0]["behavior"] == .string("Isolated"), try !flag(parts[0], "invert") else {
      throw unsupported("a Split that is not isolated, or inverted")
    }
    guard let text = parts[0]["pattern"]?["Regex"]?.string, let pattern = SplitPattern(text) else {
      throw unsupported("the Split pattern \(shown(parts[0]["pattern"]?["Regex"] ?? parts[0]["pattern"]))")
    }
    if try flag(parts[1], "add_prefix_space") { throw unsupported("a ByteLevel with add_prefix_space") }
    // Absent means true in the reference.
    guard parts[1]["use_regex"] == .bool(false) else {
      throw unsupported("a ByteLevel with use_regex behind a Split")
    }
    return pattern
  }

  private static func checkDecoder(_ json: JSONValue?) throws(PolicyError) {
    switch json?["type"]?.string {
    case "ByteLevel": return
    case "Sequence":
      let parts = json?["decoders"]?.array ?? []
      if parts.count == 1 { return try checkDecoder(parts[0]) }
      fallthrough
    default: throw unsupported("the decoder \(shown(json?["type"])); known is ByteLevel")
    }
  }

  private static func template(
    _ json: JSONValue?
  ) throws(PolicyError) -> (prefix: [Int32], suffix: [Int32]) {
    guard let json else { return ([], []) }
    switch json["type"]?.string {
    // It changes offsets, not ids.
    case "ByteLevel": return ([], [])
    case "Sequence":
      var prefix: [Int32] = []
      var suffix: [Int32] = []
      for part in json["processors"]?.array ?? [] {
        let inner = try template(part)
        prefix = inner.prefix + prefix
        suffix += inner.suffix
      }
      return (prefix, suffix)
    case "TemplateProcessing": return try singleTemplate(json)
    default: throw unsupported("the post_processor \(shown(json["type"]))")
    }
  }

  private static func singleTemplate(_ json: JSONValue) throws(PolicyError) -> (prefix: [Int32], suffix: [Int32]) {
    guard let pieces = json["single"]?.array else { throw PolicyError(.malformed, "post_processor has no single") }
    var prefix: [Int32] = []
    var suffix: [Int32] = []
    var texts = 0
    for piece in pieces {
      if piece["Sequence"]?["id"] == .string("A") {
        texts += 1
      } else if let name = piece["SpecialToken"]?["id"]?.string,
        let ids = json["special_tokens"]?.members?.first(where: { $0.key == name })?.value["ids"]?.array
      {
        for value in ids {
          let id = try id(value, "the post_processor's id of \(SafetensorsHeader.quoted(name))")
          if texts == 0 { prefix.append(id) } else { suffix.append(id) }
        }
      } else {
        throw unsupported("a piece \(shown(piece)) in the post_processor's template")
      }
    }
    guard texts == 1 else { throw unsupported("a post_processor's template with the text \(texts) times") }
    return (prefix, suffix)
  }
}
