import Replay

/// The tokens of the task: the 256 bytes and the tags of ARPO's tool calls, as a byte-level BPE tokenizer without merges.
///
/// Ids 0 to 255 are bytes, so any text has ids; the tags follow.
public enum TaskVocabulary {
  /// The tags in the order of their ids.
  public static let tags = [
    "<|endoftext|>", "<search>", "</search>", "<python>", "</python>", "<result>", "</result>", "<answer>", "</answer>",
  ]

  /// Number of ids.
  public static var size: Int { 256 + tags.count }

  /// The id of a tag; the tag must be one of ``tags``.
  static func id(_ tag: String) -> Int32 { Int32(256 + (tags.firstIndex(of: tag) ?? 0)) }

  static let endOfText = id("<|endoftext|>")
  static let search = id("<search>")
  static let endSearch = id("</search>")
  static let python = id("<python>")
  static let endPython = id("</python>")
  static let result = id("<result>")
  static let endResult = id("</result>")
  static let answer = id("<answer>")
  static let endAnswer = id("</answer>")

  /// The ids of ASCII text without tags.
  static func ids(_ text: String) -> [Int32] { text.utf8.map { Int32($0) } }

  /// The text of ids; bytes that are no character become U+FFFD.
  public static func text(_ ids: some Sequence<Int32>) -> String {
    var bytes: [UInt8] = []
    for id in ids {
      if (0..<256).contains(id) {
        bytes.append(UInt8(id))
      } else if tags.indices.contains(Int(id) - 256) {
        bytes += tags[Int(id) - 256].utf8
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// `tokenizer.json` as the `tokenizers` library reads it.
  static var tokenizerJSON: String {
    let vocabulary: [(String, DocumentValue)] = (0..<256).map { (String(byteCharacter(UInt8($0))), .int($0)) }
    let added: [DocumentValue] = tags.enumerated().map { i, tag in
      .object([
        ("id", .int(256 + i)), ("content", .string(tag)), ("single_word", .bool(false)), ("lstrip", .bool(false)),
        ("rstrip", .bool(false)), ("normalized", .bool(false)), ("special", .bool(i == 0)),
      ])
    }
    let byteLevel: [(String, DocumentValue)] = [
      ("type", .string("ByteLevel")), ("add_prefix_space", .bool(false)), ("trim_offsets", .bool(false)),
      ("use_regex", .bool(false)),
    ]
    return DocumentValue.object([
      ("version", .string("1.0")), ("truncation", .null), ("padding", .null), ("added_tokens", .array(added)),
      ("normalizer", .null),
      (
        "pre_tokenizer",
        .object([
          ("type", .string("Sequence")),
          (
            "pretokenizers",
            .array([
              .object([
                ("type", .string("Split")), ("pattern", .object([("Regex", .string(splitPattern))])),
                ("behavior", .string("Isolated")), ("invert", .bool(false)),
              ]), .object(byteLevel),
            ])
          ),
        ])
      ), ("post_processor", .null), ("decoder", .object(byteLevel)),
      (
        "model",
        .object([
          ("type", .string("BPE")), ("dropout", .null), ("unk_token", .null), ("continuing_subword_prefix", .null),
          ("end_of_word_suffix", .null), ("fuse_unk", .bool(false)), ("byte_fallback", .bool(false)),
          ("ignore_merges", .bool(false)), ("vocab", .object(vocabulary)), ("merges", .array([])),
        ])
      ),
    ]).json
  }

  /// `tokenizer_config.json` for transformers.
  static var tokenizerConfigJSON: String {
    DocumentValue.object([
      ("tokenizer_class", .string("PreTrainedTokenizerFast")), ("eos_token", .string(tags[0])),
      ("clean_up_tokenization_spaces", .bool(false)), ("model_max_length", .int(TinyCheckpoint.maxPositions)),
    ]).json
  }

  /// Qwen2's split into words; without merges it changes nothing, but it is one that readers know.
  private static let splitPattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// The character that stands for a byte in byte-level vocabularies: printable ones of Latin-1 stand for themselves, the
  /// others for 256 and up in order (GPT-2's `bytes_to_unicode`).
  private static func byteCharacter(_ byte: UInt8) -> Unicode.Scalar {
    func isPrintable(_ b: UInt8) -> Bool { (33...126).contains(b) || (161...172).contains(b) || b >= 174 }
    if isPrintable(byte) { return Unicode.Scalar(byte) }
    let rank = (0..<byte).reduce(0) { $0 + (isPrintable($1) ? 0 : 1) }
    return Unicode.Scalar(UInt16(256 + rank)) ?? Unicode.Scalar(byte)
  }
}
