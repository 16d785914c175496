/// A number with its 95 % interval from a bootstrap over prompt groups.
public struct Estimate: Sendable, Equatable {
  /// `nil`: cannot be had.
  public var value: Double?
  /// Ends of the interval; `nil` with fewer than two groups or without replicates.
  public var low: Double?
  /// Upper end.
  public var high: Double?

  /// A number, and the ends of its interval.
  public init(value: Double? = nil, low: Double? = nil, high: Double? = nil) {
    self.value = value
    self.low = low
    self.high = high
  }
}

/// What an entropy audit found, one section a run.
public struct AuditReport: Sendable, Equatable {
  /// The windows of every list below, as asked for.
  public var windows: [Range<Int>]
  /// Generated tokens of an initial entropy.
  public var baselineTokens: Int
  /// Temperature the logprobs were rescaled to; `nil`: as logged.
  public var temperature: Double?
  /// Replicates behind every interval.
  public var bootstrapReplicates: Int
  /// Seed of the bootstrap.
  public var seed: UInt64
  /// One section a run, in the order the runs came.
  public var runs: [RunAudit]
}

/// The audit of one run.
public struct RunAudit: Sendable, Equatable {
  /// The run's id.
  public var runID: String
  /// The trainer's algorithm, as logged.
  public var algorithm: String?
  /// Number of ids the policy could have sampled; `nil` = unknown.
  public var vocabSize: Int?
  /// The checkpoint whose values the numbers stand on; `nil`: the log's own.
  public var recomputedBy: String?
  /// Prompt groups.
  public var groups: Int
  /// Trajectories, multiplicity ignored.
  public var trajectories: Int
  /// Trajectories without token ids.
  public var textOnlyTrajectories: Int
  /// Tool results on all paths.
  public var toolResults: Int
  /// Tool results owned by a trajectory, each once.
  public var executedCalls: Int
  /// `nil` if no estimator has a value anywhere in the run.
  public var estimator: EstimatorChoice?
  /// Trajectories by evidence label, most frequent first.
  public var evidence: [EvidenceCount]
  /// Generated tokens, each of the tree once.
  public var generatedTokens: Int
  /// Of these, the ones the chosen estimator has a value for.
  public var tokensWithValue: Int
  /// Mean over trajectories of their initial entropy.
  public var baseline: Estimate
  /// Trajectories that have an initial entropy.
  public var baselineTrajectories: Int
  /// Windows of the trajectories' first generation segments, before any tool.
  public var earlyReasoning: [WindowSummary]
  /// Control blocks, one entry for each of the report's windows.
  public var control: [ControlSummary]
  /// All calls together, one entry for each of the report's windows.
  public var overall: [WindowSummary]
  /// Calls by dimension, in the order of ``AuditDimension``.
  public var tables: [DimensionTable]
  /// The paper's pilot observations; three.
  public var findings: [PilotFinding]
  /// Curves after a result: all tools first (`tool` nil), then each tool by name.
  public var curves: [EntropyCurve]
  /// Curve of the first generation segments from the start of the trajectories.
  public var startCurve: EntropyCurve?
  /// What the log lacks and what would provide it.
  public var missing: [MissingEvidence]
}

/// Which estimator a run was audited with, and why.
public struct EstimatorChoice: Sendable, Equatable {
  /// The one taken.
  public var estimator: Estimator
  /// Its formula as text.
  public var formula: String
  /// Why it was taken.
  public var reason: String
  /// Generated tokens with a value, for each estimator that was computed.
  public var coverage: [EstimatorCoverage]
}

/// How many generated tokens an estimator has a value for.
public struct EstimatorCoverage: Sendable, Equatable {
  /// The estimator.
  public var estimator: Estimator
  /// Generated tokens that it has a value for, each of the tree once.
  public var tokens: Int
}

/// How many trajectories hold a certain evidence.
public struct EvidenceCount: Sendable, Equatable {
  /// Labels joined by commas.
  public var label: String
  /// Trajectories with exactly this evidence.
  public var trajectories: Int
}

/// Calls of one row in one window.
public struct WindowSummary: Sendable, Equatable {
  /// Offsets in generated tokens.
  public var window: Range<Int>
  /// Calls with at least one value in the window.
  public var events: Int
  /// Mean of the calls' means, nats.
  public var eventMean: Estimate
  /// Mean of (call's mean - its trajectory's baseline), over the calls that have both.
  public var eventDelta: Estimate
  /// Calls with z > 3.
  public var spikes: Int
  /// Calls with a z at all.
  public var scored: Int
  /// spikes / scored.
  public var spikeShare: Double?
  /// Owned tokens with a value, each token of the tree once.
  public var tokens: Int
  /// Mean over these tokens, nats.
  public var tokenMean: Double?
  /// Largest of them.
  public var tokenMax: Double?
  /// Means over the calls of the window means of the bounds; only with estimator `topk`.
  public var lowerMean: Double?
  /// Mean of the upper bounds; `nil` also without a known vocabulary.
  public var upperMean: Double?
}

/// The matched null of a window: blocks of its length away from tool results.
public struct ControlSummary: Sendable, Equatable {
  /// The window whose length the blocks have.
  public var window: Range<Int>
  /// Number of blocks.
  public var blocks: Int
  /// Median of the blocks' means, nats.
  public var median: Double?
  /// Median of |x - median|.
  public var mad: Double?
  /// Mean of the blocks' means, nats.
  public var mean: Double?
  /// Share of the blocks whose own z is above 3, to hold the spike share against; `nil` where z is.
  public var spikeShare: Double?
}

/// What calls are split by.
public enum AuditDimension: String, Sendable, Hashable, CaseIterable {
  case tool
  case dataSource = "data_source"
  case step
  /// 1-based number of the tool result on the path.
  case callNumber = "call_number"
  /// Reward above 0, at most 0, or none.
  case outcome
  case policyVersion = "policy_version"
}

/// Calls split by one dimension.
public struct DimensionTable: Sendable, Equatable {
  /// What the calls are split by.
  public var dimension: AuditDimension
  /// Numbers ascending, names by their bytes, "null" last.
  public var rows: [DimensionRow]
}

/// One value of a dimension.
public struct DimensionRow: Sendable, Equatable {
  /// "null" where the log does not say.
  public var key: String
  /// One for each of the report's windows.
  public var windows: [WindowSummary]
}

/// Mean entropy by offset.
public struct EntropyCurve: Sendable, Equatable {
  /// `nil`: all tools, or the start of trajectories.
  public var tool: String?
  /// Tokens with a value at each offset, each token of the tree once.
  public var counts: [Int]
  /// `nil` where no token has a value.
  public var means: [Double?]
}

/// One of the ARPO paper's pilot observations, held against this log.
public struct PilotFinding: Sendable, Equatable {
  /// What the log says.
  public enum Verdict: String, Sendable {
    case supported
    case notSupported = "not supported"
    case cannotTell = "cannot tell"
  }

  /// Number of the observation: 1 rise after a result, 2 search above python, 3 against the initial entropy.
  public var number: Int
  /// The paper's claim.
  public var statement: String
  /// What the log says about it.
  public var verdict: Verdict
  /// The numbers that decide, as a sentence.
  public var reason: String
  /// The numbers behind it: name and value in nats (or a share).
  public var numbers: [FindingNumber]
}

/// A named number of a finding.
public struct FindingNumber: Sendable, Equatable {
  /// What is measured.
  public var name: String
  /// The number, nats.
  public var estimate: Estimate
  /// Calls, blocks or trajectories behind it.
  public var count: Int
}

/// Something a log does not hold.
public struct MissingEvidence: Sendable, Equatable {
  /// The absent column.
  public var what: String
  /// Trajectories without it.
  public var trajectories: Int
  /// Which numbers are therefore not there.
  public var consequence: String
  /// What would provide it.
  public var remedy: String
}
