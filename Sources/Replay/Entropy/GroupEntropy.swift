import Rollouts

/// The token entropies of a prompt group: computed once for each stored token, read along paths.
public struct GroupEntropy: Sendable {
  /// By trajectory; `nil` for text-only ones.
  public let own: [TokenEntropy?]

  /// Computes the values of a group's stored tokens.
  ///
  /// - Parameters:
  ///   - group: its run says the vocabulary's size.
  ///   - estimators: the ones to compute.
  ///   - temperature: see ``TokenEntropy``.
  public init(_ group: ReplayGroup, estimators: Set<Estimator>, temperature: TemperatureChange? = nil) {
    own = group.trajectories.map { t in
      t.columns.map {
        TokenEntropy(
          of: $0, entropyKind: t.entropyKind, vocabSize: group.run.vocabSize, estimators: estimators,
          temperature: temperature)
      }
    }
  }

  /// One estimator's values along the paths of the group's tree.
  public func values(_ estimator: Estimator, in tree: RolloutTree) -> PathValues {
    PathValues(tree: tree, own: own.map { $0?.columns[estimator] })
  }
}

/// One real a stored token, read along paths; `NaN` where there is none.
public struct PathValues: Sendable {
  let paths: [RolloutPath]
  /// By trajectory, for the tokens it stores; empty where it has none at all.
  let own: [[Double]]

  /// - Parameters:
  ///   - tree: the paths.
  ///   - own: by trajectory, one value a stored token; `nil` = no values.
  public init(tree: RolloutTree, own: [[Double]?]) {
    paths = tree.paths
    self.own = own.map { $0 ?? [] }
  }

  /// Count, sum and maximum of the values in a range of a path.
  func statistics(_ t: Int, _ range: Range<Int>) -> ValueStatistics {
    var out = ValueStatistics()
    for piece in paths[t].pieces {
      let part = piece.range.clamped(to: range)
      if part.isEmpty { continue }
      let offset = paths[piece.owner].storageBranch
      own[piece.owner].withUnsafeBufferPointer { values in
        if values.isEmpty { return }
        for i in part { out.add(values[i - offset]) }
      }
    }
    return out
  }

  /// The values in a range of a path, `NaN` where there is none.
  public func values(_ t: Int, _ range: Range<Int>) -> [Double] {
    var out: [Double] = []
    out.reserveCapacity(range.count)
    for piece in paths[t].pieces {
      let part = piece.range.clamped(to: range)
      if part.isEmpty { continue }
      let offset = paths[piece.owner].storageBranch
      if own[piece.owner].isEmpty {
        out += [Double](repeating: .nan, count: part.count)
      } else {
        out += own[piece.owner][(part.lowerBound - offset)..<(part.upperBound - offset)]
      }
    }
    return out
  }

  /// Whether a path has any value, the inherited prefix included.
  public func hasValue(_ t: Int) -> Bool { statistics(t, 0..<paths[t].length).count > 0 }

  /// Number of owned tokens of a trajectory that have a value.
  func coverage(_ t: Int) -> Int { statistics(t, paths[t].branch..<paths[t].length).count }
}

/// Count, sum and maximum of numbers, `NaN` left out.
public struct ValueStatistics: Sendable, Equatable {
  /// How many.
  public var count = 0
  /// Their sum.
  public var sum = 0.0
  var max = -Double.infinity

  var mean: Double? { count > 0 ? sum / Double(count) : nil }
  var maximum: Double? { count > 0 ? max : nil }

  mutating func add(_ x: Double) {
    if x.isNaN { return }
    count += 1
    sum += x
    if x > max { max = x }
  }

  mutating func add(_ other: ValueStatistics) {
    count += other.count
    sum += other.sum
    if other.max > max { max = other.max }
  }
}
