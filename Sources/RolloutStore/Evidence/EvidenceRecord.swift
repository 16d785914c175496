import GRDB

/// What identifies an evidence set besides its name: who scored, and how.
public struct EvidenceRecipe: Sendable, Equatable {
  /// Name of the checkpoint's folder.
  public var policy: String
  /// SHA-256 of its config and weights, hexadecimal.
  public var policySHA256: String
  /// Name of the adapter's folder, and its SHA-256.
  public var adapter: String?
  public var adapterSHA256: String?
  public var vocabSize: Int
  /// Logits are divided by it; `nil`: by the temperature of each run's logged logprobs.
  public var temperature: Double?
  /// Candidates kept a token.
  public var topK: Int
  /// Whether inserted tokens are scored too.
  public var withInserted: Bool
  /// Whether trajectories without a prompt are scored as if nothing stood before them.
  public var allowsNoPrompt: Bool

  public init(
    policy: String, policySHA256: String, adapter: String? = nil, adapterSHA256: String? = nil, vocabSize: Int,
    temperature: Double? = nil, topK: Int = 0, withInserted: Bool = true, allowsNoPrompt: Bool = false
  ) {
    self.policy = policy
    self.policySHA256 = policySHA256
    self.adapter = adapter
    self.adapterSHA256 = adapterSHA256
    self.vocabSize = vocabSize
    self.temperature = temperature
    self.topK = topK
    self.withInserted = withInserted
    self.allowsNoPrompt = allowsNoPrompt
  }

  init(_ row: Row) {
    policy = row["policy"]
    policySHA256 = row["policy_sha256"]
    adapter = row["adapter"]
    adapterSHA256 = row["adapter_sha256"]
    vocabSize = row["vocab_size"]
    temperature = row["temperature"]
    topK = row["top_k"]
    withInserted = row["inserted"]
    allowsNoPrompt = row["unconditioned"]
  }

  /// The first thing in which another recipe differs; folders' names do not count, their contents do.
  func difference(from other: EvidenceRecipe) -> (what: String, mine: String, other: String)? {
    func text(_ value: Double?) -> String { value.map { String($0) } ?? "each run's own" }
    let pairs: [(what: String, mine: String, other: String)] = [
      ("checkpoint", String(policySHA256.prefix(12)), String(other.policySHA256.prefix(12))),
      (
        "adapter", adapterSHA256.map { String($0.prefix(12)) } ?? "none",
        other.adapterSHA256.map { String($0.prefix(12)) } ?? "none"
      ),
      ("temperature", text(temperature), text(other.temperature)),
      ("top-k", String(topK), String(other.topK)),
      ("choice of tokens", withInserted ? "all" : "generated", other.withInserted ? "all" : "generated"),
      (
        "treatment of missing prompts", allowsNoPrompt ? "scored" : "left out",
        other.allowsNoPrompt ? "scored" : "left out"
      ),
    ]
    return pairs.first { $0.mine != $0.other }
  }
}

/// A named evidence set of the database.
public struct EvidenceRecord: Sendable, Equatable {
  public var name: String
  public var recipe: EvidenceRecipe
  /// Whether the command that makes it came to its end.
  public var isComplete: Bool
  let id: Int64

  init(_ row: Row) {
    name = row["name"]
    recipe = EvidenceRecipe(row)
    isComplete = row["state"] == "complete"
    id = row["id"]
  }
}

extension EvidenceRecord: CustomStringConvertible {
  /// The set as an output names it.
  public var description: String {
    var text = "\(name): \(recipe.policy) (sha256 \(recipe.policySHA256.prefix(12)))"
    if let adapter = recipe.adapter { text += " + \(adapter) (\((recipe.adapterSHA256 ?? "").prefix(12)))" }
    return text + (recipe.temperature.map { ", temperature \($0)" } ?? ", at the logs' temperature")
  }
}

extension Store {
  /// The named evidence sets, by name; none in a database of an older version.
  public func evidenceSets() throws -> [EvidenceRecord] { try reading { try Self.evidenceSets($0) } }

  static func evidenceSets(_ db: Database) throws -> [EvidenceRecord] {
    guard try db.tableExists("evidence_set") else { return [] }
    return try Row.fetchAll(db, sql: "SELECT * FROM evidence_set ORDER BY name").map(EvidenceRecord.init)
  }

  /// A complete evidence set.
  /// - Throws: ``StoreError`` if there is none of that name, or it was cut off.
  public func evidence(named name: String) throws -> EvidenceRecord {
    try reading { try Self.evidence(named: name, $0) }
  }

  static func evidence(named name: String, _ db: Database) throws -> EvidenceRecord {
    let all = try evidenceSets(db)
    guard let record = all.first(where: { $0.name == name }) else {
      let names = all.filter(\.isComplete).map(\.name)
      throw StoreError(
        .missing,
        "there is no evidence \(name); "
          + (names.isEmpty ? "make it with: arpo-replay rescore" : "the database has: \(names.joined(separator: ", "))")
      )
    }
    guard record.isComplete else {
      throw StoreError(.failed, "evidence \(name) was cut off: run arpo-replay rescore again")
    }
    return record
  }
}
