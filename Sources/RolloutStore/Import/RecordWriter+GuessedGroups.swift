import GRDB
import Rollouts

extension RecordWriter {
  /// The group of a call; `nil` where only its prompt tells.
  ///
  /// A guessed name holds as long as one prompt stands behind it. With the second one, each prompt's group is named after
  /// the name and the prompt, the first one's too: which came first does not matter.
  func groupName(_ call: CallRecord, _ prompt: String?, run: Int64) throws -> String? {
    guard let name = call.groupID, call.isGroupGuessed, let prompt = prompt?.withoutZeros else { return call.groupID }
    if try isSplit(name, run: run) { return Self.name(name, of: prompt) }
    let known = try fetch(
      "SELECT id, prompt_text, is_recorded FROM prompt_group WHERE run = ? AND group_id = ? AND step IS NULL",
      [run, name])
    guard let known, let other = known["prompt_text"] as String?, ByteString(other) != ByteString(prompt) else {
      return name
    }
    // What a group record names is named so.
    if known["is_recorded"] == 0 {
      try rename(GroupKey(run: run, group: name, step: nil), known["id"], to: Self.name(name, of: other))
    }
    return Self.name(name, of: prompt)
  }

  private static let separator = "/"
  /// Hexadecimal digits of a prompt's hash.
  private static let digits = 16

  private static func name(_ name: String, of prompt: String) -> String {
    let hash = String(ContentHash64.of(prompt), radix: 16)
    return name + separator + String(repeating: "0", count: digits - hash.count) + hash
  }

  /// Whether several prompts were seen behind a name.
  private func isSplit(_ name: String, run: Int64) throws -> Bool {
    let first = name + Self.separator
    return try fetch(
      """
      SELECT 1 FROM prompt_group WHERE run = ?1 AND group_id >= ?2 AND group_id < ?3 AND step IS NULL
        AND length(group_id) = length(?2) + ?4 AND substr(group_id, -?4) NOT GLOB '*[^0-9a-f]*' LIMIT 1
      """, [run, first, first + "g", Self.digits]) != nil
  }
}
