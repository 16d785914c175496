internal import CPolicyKernels

/// The names, shapes and places of the tensors that are trained.
public struct ParameterLayout: Sendable, Equatable {
  /// One tensor.
  public struct Entry: Sendable, Equatable {
    /// As in the checkpoint (`model.norm.weight`), or in PEFT's adapter file.
    public var name: String
    public var shape: [Int]
    /// Where its floats stand, row-major.
    public var range: Range<Int>
  }

  /// In the order of the checkpoint's computation; the ranges follow each other without gaps.
  public let entries: [Entry]
  private let places: [String: Int]

  init(_ parameters: [PolicyConfig.Parameter]) {
    var entries: [Entry] = []
    var end = 0
    for parameter in parameters {
      let count = parameter.shape.reduce(1, *)
      entries.append(Entry(name: parameter.name, shape: parameter.shape, range: end..<(end + count)))
      end += count
    }
    self.entries = entries
    places = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
  }

  /// Floats of all tensors together.
  public var count: Int { entries.last?.range.upperBound ?? 0 }

  public func entry(named name: String) -> Entry? { places[name].map { entries[$0] } }
}

/// One float for each trained number, contiguous, in the layout's order: parameters, gradients, moments.
///
/// Not safe to use from two threads at once.
public final class ParameterSet {
  public let layout: ParameterLayout
  let buffer: FloatBuffer

  /// All zero.
  public convenience init(zerosLike other: ParameterSet) { self.init(other.layout) }

  init(_ layout: ParameterLayout) {
    self.layout = layout
    buffer = Workspace().zeros(layout.count)
  }

  public var count: Int { layout.count }

  /// The floats of all tensors.
  public func withValues<Result, Failure: Error>(
    _ body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result { try body(buffer.values) }

  /// A copy of one tensor; `nil` if there is none of the name.
  public func values(of name: String) -> [Float]? {
    layout.entry(named: name).map { Array(buffer.values[$0.range]) }
  }

  /// Replaces one tensor.
  /// - Throws: ``PolicyError`` `mismatch` if there is none of the name or the length is another.
  public func set(_ name: String, to values: [Float]) throws(PolicyError) {
    guard let entry = layout.entry(named: name), entry.range.count == values.count else {
      throw PolicyError(.mismatch, "no trained tensor \(name) of \(values.count) elements")
    }
    for (i, value) in zip(entry.range, values) { buffer.pointer[i] = value }
  }

  public func zero() { buffer.zero() }
}

/// d loss / d parameter, added up.
public typealias GradientBuffer = ParameterSet
