import Foundation
import RolloutLogs
import TestSupport
import Testing

@testable import Policy

/// Ids and texts against the reference library, see `Tests/Scripts/make_tokenizer_goldens.py`.
@Suite("tokenizer")
struct TokenizerTests {
  static let folder = TestPaths.fixtures.appending(path: "tokenizers")
  static let names = ["flags", "llama3", "qwen2"]

  static func json(_ name: String) throws -> JSONValue {
    try JSONValue(parsing: try String(contentsOf: folder.appending(path: name), encoding: .utf8))
  }

  static func ids(_ value: JSONValue) -> [Int32] { value.array?.compactMap { $0.int.map { Int32($0) } } ?? [] }

  static func tokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer(directory: folder.appending(path: name).path)
  }

  @Test("encodes as the reference", arguments: names)
  func encodings(_ name: String) throws {
    let texts = try #require(try Self.json("corpus.json").array?.map { $0.string ?? "" })
    let rows = try #require(try Self.json("\(name)/encodings.json").array)
    #expect(texts.count == rows.count && texts.count > 500)
    let tokenizer = try Self.tokenizer(name)
    var encoder = TokenEncoder(tokenizer)
    for (text, row) in zip(texts, rows) {
      let expected = try #require(row.array)
      #expect(encoder.encode(text) == Self.ids(expected[0]), "\(text.debugDescription)")
      #expect(
        encoder.encode(text, addingSpecialTokens: true) == Self.ids(expected.last ?? .null), "\(text.debugDescription)")
    }
    // All of it as one text, and each text with an encoder of its own.
    for text in texts.prefix(200) { #expect(tokenizer.encode(text) == encoder.encode(text)) }
  }

  @Test("decodes as the reference, whole and token by token", arguments: names)
  func decodings(_ name: String) throws {
    let tokenizer = try Self.tokenizer(name)
    for row in try #require(try Self.json("\(name)/decodings.json").array) {
      let parts = try #require(row.array)
      let ids = Self.ids(parts[0])
      #expect(try tokenizer.decode(ids) == parts[1].string)
      #expect(try tokenizer.decode(ids, skippingSpecialTokens: true) == parts[2].string)
      for skipping in [false, true] {
        var streaming = StreamingDecoder(tokenizer, skippingSpecialTokens: skipping)
        var text = ""
        for id in ids {
          let piece = try streaming.append(id)
          // A character is never shown broken and then mended.
          #expect((try tokenizer.decode(ids, skippingSpecialTokens: skipping)).utf8.starts(with: (text + piece).utf8))
          text += piece
        }
        text += streaming.finish()
        #expect(Array(text.utf8) == Array((parts[skipping ? 2 : 1].string ?? "").utf8))
      }
    }
  }

  @Test("text in NFC comes back as it was", arguments: ["llama3", "qwen2"])
  func roundTrip(_ name: String) throws {
    let tokenizer = try Self.tokenizer(name)
    for text in try #require(try Self.json("corpus.json").array?.compactMap(\.string)) {
      var text = text
      if tokenizer.normalizes {
        text =
          text.withUTF8 { CanonicalComposition.shared.normalized($0) }.map { String(decoding: $0, as: UTF8.self) }
          ?? text
      }
      #expect(Array(try tokenizer.decode(tokenizer.encode(text)).utf8) == Array(text.utf8))
    }
  }

  @Test("the search for short words and the heap for long ones find the same tokens")
  func mergers() throws {
    let tokenizer = try Self.tokenizer("qwen2")
    var generator = SeededGenerator(seed: 3)
    let alphabet = Array("aeinrst the".utf8) + [0xC3, 0xA9, 0x20]
    for _ in 0..<400 {
      let count = Int.random(in: 49...300, using: &generator)
      let word = (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
      var merger = WordMerger()
      var fast: [Int32] = []
      word.withUnsafeBufferPointer { merger.merge($0, tokenizer.merges, byteIDs: tokenizer.byteIDs, into: &fast) }
      // The definition: merge the leftmost pair of the lowest rank until there is none.
      var slow = word.map { tokenizer.byteIDs[Int($0)] }
      while true {
        let ranks = zip(slow, slow.dropFirst()).map { tokenizer.merges[$0, $1] }
        guard let best = ranks.map(\.rank).min(), best < .max, let at = ranks.firstIndex(where: { $0.rank == best })
        else { break }
        slow.replaceSubrange(at...(at + 1), with: [ranks[at].id])
      }
      #expect(fast == slow)
    }
  }

  @Test("an id out of the vocabulary is an error, never a gap")
  func unknownIDs() throws {
    let tokenizer = try Self.tokenizer("qwen2")
    for id in [-1, Int32(tokenizer.vocabularySize), .max] {
      #expect(policyError { _ = try tokenizer.decode([0, id]) }?.message.contains("id \(id) at 1") == true)
      var streaming = StreamingDecoder(tokenizer)
      #expect(policyError { _ = try streaming.append(id) } != nil)
      #expect(tokenizer.bytes(of: id).isEmpty)
    }
  }

  // MARK: The file

  /// The qwen2 fixture with a member replaced.
  func changed(_ path: [String], _ value: String) throws -> JSONValue {
    func replace(_ json: JSONValue, _ path: ArraySlice<String>, _ new: JSONValue) -> JSONValue {
      guard let key = path.first else { return new }
      if let index = Int(key), var elements = json.array {
        elements[index] = replace(elements[index], path.dropFirst(), new)
        return .array(elements)
      }
      var members = json.members ?? []
      if let i = members.firstIndex(where: { $0.key == key }) {
        members[i].value = replace(members[i].value, path.dropFirst(), new)
      } else {
        members.append(.init(key, replace(.null, path.dropFirst(), new)))
      }
      return .object(members)
    }
    return replace(try Self.json("qwen2/tokenizer.json"), path[...], try JSONValue(parsing: value))
  }

  @Test(
    "what would change ids and is not known is refused by name",
    arguments: [
      (["model", "type"], "\"WordPiece\"", "'WordPiece'"),
      (["model", "dropout"], "0.1", "dropout"),
      (["model", "byte_fallback"], "true", "byte_fallback"),
      (["model", "continuing_subword_prefix"], "\"##\"", "continuing_subword_prefix"),
      (["model", "end_of_word_suffix"], "\"</w>\"", "end_of_word_suffix"),
      (["normalizer"], "{\"type\":\"NFKC\"}", "normalizer 'NFKC'"),
      (["normalizer"], "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Lowercase\"}]}", "'Lowercase'"),
      (["pre_tokenizer"], "null", "pre_tokenizer"),
      (["pre_tokenizer"], "{\"type\":\"Whitespace\"}", "'Whitespace'"),
      (["pre_tokenizer", "pretokenizers", "0", "behavior"], "\"Removed\"", "isolated"),
      (["pre_tokenizer", "pretokenizers", "0", "invert"], "true", "inverted"),
      (["pre_tokenizer", "pretokenizers", "0", "pattern", "Regex"], "\"\\\\s+\"", "'\\s+'"),
      (["pre_tokenizer", "pretokenizers", "0", "pattern"], "{\"String\":\" \"}", "Split pattern"),
      (["pre_tokenizer", "pretokenizers", "1", "add_prefix_space"], "true", "add_prefix_space"),
      (["pre_tokenizer", "pretokenizers", "1", "use_regex"], "true", "use_regex"),
      (["decoder"], "{\"type\":\"WordPiece\"}", "decoder 'WordPiece'"),
      (["decoder"], "null", "decoder"),
      (["post_processor"], "{\"type\":\"BertProcessing\"}", "'BertProcessing'"),
      (["post_processor"], "{\"type\":\"TemplateProcessing\",\"single\":[]}", "text 0 times"),
    ])
  func refused(_ path: [String], _ value: String, _ reason: String) throws {
    let json = try changed(path, value)
    let error = policyError { _ = try Tokenizer(json) }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains(reason) == true, "\(String(describing: error))")
  }

  @Test(
    "broken files are refused",
    arguments: [
      (["model"], "null"), (["model", "vocab"], "[]"), (["model", "merges"], "null"),
      (["model", "merges", "0"], "\"a\""),
      (["model", "merges", "0"], "\"a b c\""), (["model", "merges", "0"], "[\"a\"]"),
      (["model", "merges", "0"], "[1,2]"),
      (["model", "merges", "0"], "[\"zz\",\"qq\"]"), (["model", "vocab", "!"], "-1"), (["model", "vocab", "!"], "1.5"),
      (["model", "vocab", "!"], "1"), (["model", "vocab", "!"], "99999999999"), (["model", "vocab", "!"], "\"0\""),
      (["model", "ignore_merges"], "1"), (["added_tokens"], "{}"), (["added_tokens", "0", "id"], "0"),
      (["added_tokens", "0", "id"], "16777216"), (["added_tokens", "0", "content"], "null"),
      (["added_tokens", "0", "content"], "\"<|im_end|>\""), (["added_tokens", "0", "content"], "\"!\""),
      (["post_processor"], "{\"type\":\"TemplateProcessing\"}"),
      (
        ["post_processor"],
        "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"x\":{\"ids\":[5000]}}}"
      ),
    ])
  func broken(_ path: [String], _ value: String) throws {
    let json = try changed(path, value)
    let error = policyError { _ = try Tokenizer(json) }
    #expect(error?.code == .malformed || error?.code == .mismatch, "\(String(describing: error))")
  }

  @Test("merges in the old form of one string mean the same")
  func legacyMerges() throws {
    let json = try Self.json("qwen2/tokenizer.json")
    let merges = try #require(json["model"]?["merges"]?.array)
    let old = merges.map { JSONValue.string($0.array?.compactMap(\.string).joined(separator: " ") ?? "").text() }
    let tokenizer = try Tokenizer(try changed(["model", "merges"], "[\(old.joined(separator: ","))]"))
    let expected = try Self.tokenizer("qwen2")
    for text in try #require(try Self.json("corpus.json").array?.compactMap(\.string)) {
      #expect(tokenizer.encode(text) == expected.encode(text))
    }
  }

  @Test("no damaged file brings the reader down")
  func fuzz() throws {
    let data = Array(try Data(contentsOf: Self.folder.appending(path: "flags/tokenizer.json")))
    var generator = SeededGenerator(seed: 8)
    var read = 0
    for _ in 0..<250 {
      var damaged = data
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let at = Int.random(in: 0..<damaged.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: damaged[at] = UInt8.random(in: 0...255, using: &generator)
        case 1: damaged.remove(at: at)
        default: damaged.removeSubrange(at..<min(damaged.count, at + 40))
        }
      }
      let json = damaged.withUnsafeBytes { try? SmallJSON.parse($0, "it") }
      guard let json, let tokenizer = try? Tokenizer(json) else { continue }
      read += 1
      _ = tokenizer.encode("tok wo\u{308}rd both<|im_end|> 123 \u{E9}\u{1F600}\n ")
    }
    #expect(read > 0)
  }

  @Test("any text is encoded, and encoding does not depend on what came before")
  func randomTexts() throws {
    for name in Self.names {
      let tokenizer = try Self.tokenizer(name)
      var encoder = TokenEncoder(tokenizer)
      var generator = SeededGenerator(seed: 4)
      for _ in 0..<300 {
        var text = ""
        for _ in 0..<Int.random(in: 0...40, using: &generator) {
          let value = UInt32.random(in: 0...0x10FFFF, using: &generator) >> UInt32.random(in: 0...14, using: &generator)
          if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
        }
        let ids = encoder.encode(text)
        #expect(ids == tokenizer.encode(text))
        #expect(ids.allSatisfy(tokenizer.contains))
      }
    }
  }
}
