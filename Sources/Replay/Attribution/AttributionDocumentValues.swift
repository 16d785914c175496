/// The nodes of a tree, trajectories by their ids; the parent of a top node is -1.
func nodesDocument(_ tree: NodeTree, _ group: AttributionGroup) -> DocumentValue {
  func ids(_ leaves: [Int]) -> DocumentValue { .array(leaves.map { .string(group.leaves[$0].id) }) }
  return .array(
    tree.nodes.map { node in
      .object([
        ("owner", .string(group.leaves[node.owner].id)), ("start", .int(node.range.lowerBound)),
        ("end", .int(node.range.upperBound)), ("parent", .int(node.parent ?? -1)), ("leaves", ids(node.leaves)),
        ("ends", ids(node.ends)),
      ])
    })
}

/// A path's advantages as run lengths over all its tokens, inserted ones 0; null for a missing one.
///
/// Neighbours that differ by rounding only are one run.
func runsDocument(_ advantages: PathAdvantages, _ leaf: AttributionLeaf) -> DocumentValue {
  if case .missing = advantages { return .null }
  var counts: [Int] = []
  var values: [Double] = []
  func add(_ count: Int, _ value: Double) {
    if count == 0 { return }
    if let last = values.last, abs(last - value) <= 1e-13 * max(abs(last), abs(value)) {
      counts[counts.count - 1] += count
    } else {
      counts.append(count)
      values.append(value)
    }
  }
  var done = 0
  advantages.forEachRun(leaf.generated) { range, value in
    add(range.lowerBound - done, 0)
    add(range.count, value)
    done = range.upperBound
  }
  add(leaf.length - done, 0)
  return .object([("counts", .array(counts.map { .int($0) })), ("values", .array(values.map { .double($0) }))])
}

extension OverlongShaping {
  /// As an object.
  public var document: DocumentValue {
    .object([("cap", .int(cap)), ("buffer", .int(buffer)), ("factor", .double(factor))])
  }
}

extension AEPO {
  /// The parameters, and the entropy statistics of each batch.
  func documentMembers(_ batches: BatchStatistics) -> [(String, DocumentValue)] {
    let rows = batches.steps.map { step in
      let moments = batches[step]
      return DocumentValue.object([
        ("step", .integer(step)), ("tokens", .int(moments.count)), ("mean", .number(moments.mean)),
        ("std", .double(Self.divisor(moments))),
      ])
    }
    return [("estimator", .string(estimator.rawValue)), ("a", .double(weight)), ("batches", .array(rows))]
  }
}

extension AttributionComparison {
  /// As an object that names the two strategies.
  public func document(_ a: String, _ b: String) -> DocumentValue {
    .object([
      ("a", .string(a)), ("b", .string(b)), ("tokens", .int(tokens)), ("pearson", .number(pearson)),
      ("spearman", .number(spearman)), ("sign_flip", .number(signFlip)), ("mean_abs_delta", .number(meanAbsDelta)),
    ])
  }
}

extension ConservationFinding {
  /// As an object.
  public var document: DocumentValue {
    .object([
      ("check", .string(check.rawValue)), ("value", .double(value)), ("group", .text(group)), ("count", .int(count)),
      ("violations", .int(violations)), ("required", .bool(isRequired)),
    ])
  }
}

extension CreditShares {
  /// As an object; without any credit the shares are null.
  public var document: DocumentValue {
    func shares(_ byName: [String: Double]) -> DocumentValue {
      if total == 0 { return .null }
      return .object(
        byName.keys.map { RowName.name($0) }.sorted().map { ($0.text, .number(byName[$0.text])) })
    }
    // The reference writes a call without a tool's name under the key null.
    let calls = Dictionary(byCallTool.map { ($0 == "unknown" ? "null" : $0, $1) }, uniquingKeysWith: +)
    return .object([
      ("total_abs", .double(total)), ("by_kind", shares(byKind)), ("by_call_tool", shares(calls)),
      ("after_tool", shares(afterTool)),
    ])
  }
}
