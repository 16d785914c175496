/// ARPO's branching rule replayed on a run, group by group.
struct BranchingDocument {
  private var settings = BranchingSettings()
  private var segments: [(String, DocumentValue)] = []
  private var events: [DocumentValue] = []
  private var forks: [(String, DocumentValue)] = []

  mutating func add(_ tree: RolloutTree, topk: PathValues) {
    settings = tree.group.run.branching
    let replay = BranchReplay(tree, topk: topk)
    for (t, rows) in replay.segments.enumerated() {
      segments.append((tree.group.trajectories[t].id, .array(rows.map(\.document))))
    }
    events += replay.events.map { $0.document(trajectory: tree.group.trajectories[$0.trajectory].id) }
    forks.append((tree.group.id, ForkSummary(tree, replay).document))
  }

  var document: DocumentValue {
    .object([
      ("config", settings.document), ("segments", .object(segments)), ("events", .array(events)),
      ("forks", .object(forks)),
    ])
  }
}

extension BranchingSettings {
  /// As an object, under the names of the run record.
  public var document: DocumentValue {
    .object([
      ("branch_probability", .double(branchProbability)), ("entropy_weight", .double(entropyWeight)),
      ("window_tokens", .int(windowTokens)), ("top_k", .int(topK)), ("alpha", .double(alpha)), ("tau", .double(tau)),
    ])
  }
}

extension ARPOSegment {
  /// As an object.
  public var document: DocumentValue {
    .object([
      ("start", .int(range.lowerBound)), ("end", .int(range.upperBound)), ("positions", .int(positions)),
      ("sum", .number(sum)), ("value", .number(value)),
    ])
  }
}

extension BranchEvent {
  /// As an object; the trajectory by its id.
  public func document(trajectory id: String) -> DocumentValue {
    .object([
      ("trajectory", .string(id)), ("result", .int(result)), ("tool", .string(tool)), ("at", .int(at)),
      (
        "code",
        .object([
          ("baseline", .number(codeBaseline)), ("lagged", codeLagged.document),
          ("post-result", codePostResult.document),
        ])
      ),
      ("paper", .object([("lagged", paperLagged.document), ("post-result", paperPostResult.document)])),
    ])
  }
}

extension CodeDecision {
  var document: DocumentValue {
    .object([("now", .number(now)), ("dh", .number(deltaH)), ("p", .number(probability))])
  }
}

extension PaperDecision {
  var document: DocumentValue {
    .object([("pairs", .int(pairs)), ("V", byV.document), ("lnV", byLnV.document)])
  }
}

extension PaperChange {
  var document: DocumentValue {
    .object([
      ("dh", .number(deltaH)), ("p", .number(probability)), ("branch", branches.map { .bool($0) } ?? .null),
    ])
  }
}

extension ForkSummary {
  /// As an object.
  public var document: DocumentValue {
    .object([
      ("at_start", .int(atStart)), ("after_tool_result", .int(afterToolResult)), ("elsewhere", .int(elsewhere)),
      ("expected_lagged", .number(expectedLagged)), ("expected_post-result", .number(expectedPostResult)),
      ("decisions", .int(decisions)),
    ])
  }
}
