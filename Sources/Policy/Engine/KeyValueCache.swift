/// Keys and values of all layers, row by row, for sequences that grow and share their beginnings.
final class KeyValueCache {
  /// Rows that are given out at once.
  static let block = 32

  private let config: PolicyConfig
  private let workspace: Workspace
  /// Rows that there is room for.
  private(set) var capacity = 0
  /// One a layer, [key-value heads, capacity, head dimension].
  private(set) var keys: [FloatBuffer] = []
  private(set) var values: [FloatBuffer] = []
  /// Ascending, never touching.
  private var free: [Range<Int>] = []

  /// Rows of one sequence, or of several as far as they agree.
  final class Run {
    let rows: Range<Int>
    /// How many of the rows hold a token.
    var used = 0
    /// What comes before, and how many of its rows.
    let parent: (run: Run, used: Int)?
    private let cache: KeyValueCache

    init(_ rows: Range<Int>, parent: (run: Run, used: Int)?, cache: KeyValueCache) {
      self.rows = rows
      self.parent = parent
      self.cache = cache
    }

    deinit { cache.release(rows) }

    /// The rows up to the first `used` of this run, in order, joined where they touch.
    func ranges(_ used: Int) -> [Range<Int>] {
      var ranges: [Range<Int>] = []
      var next: (run: Run, used: Int)? = (self, used)
      while let (run, used) = next {
        let rows = run.rows.lowerBound..<(run.rows.lowerBound + used)
        if let last = ranges.last, last.lowerBound == rows.upperBound {
          ranges[ranges.count - 1] = rows.lowerBound..<last.upperBound
        } else if !rows.isEmpty {
          ranges.append(rows)
        }
        next = run.parent
      }
      return ranges.reversed()
    }
  }

  init(_ config: PolicyConfig, workspace: Workspace) {
    self.config = config
    self.workspace = workspace
  }

  /// Room for at least `count` tokens.
  func run(_ count: Int, after parent: (run: Run, used: Int)?) -> Run {
    let wanted = max(1, (count + Self.block - 1) / Self.block) * Self.block
    if !free.contains(where: { $0.count >= wanted }) { grow(by: wanted) }
    let place = free.firstIndex { $0.count >= wanted } ?? 0
    let rows = free[place].lowerBound..<(free[place].lowerBound + wanted)
    if rows.upperBound == free[place].upperBound {
      free.remove(at: place)
    } else {
      free[place] = rows.upperBound..<free[place].upperBound
    }
    return Run(rows, parent: parent, cache: self)
  }

  private func release(_ rows: Range<Int>) {
    let place = free.firstIndex { $0.lowerBound > rows.lowerBound } ?? free.count
    free.insert(rows, at: place)
    if place + 1 < free.count, free[place + 1].lowerBound == rows.upperBound {
      free[place] = rows.lowerBound..<free.remove(at: place + 1).upperBound
    }
    if place > 0, free[place - 1].upperBound == rows.lowerBound {
      free[place - 1] = free[place - 1].lowerBound..<free.remove(at: place).upperBound
    }
  }

  private func grow(by rows: Int) {
    let larger = capacity + max(rows, capacity / 2)
    let (groups, width) = (config.keyValueHeadCount, config.headDimension)
    func moved(_ old: FloatBuffer?) -> FloatBuffer {
      let new = workspace.buffer(groups * larger * width)
      for group in 0..<groups {
        guard let old else { break }
        (new.pointer + group * larger * width).update(
          from: old.pointer + group * capacity * width, count: capacity * width)
      }
      return new
    }
    for layer in 0..<config.layerCount {
      let (k, v) = (moved(keys.count == layer ? nil : keys[layer]), moved(values.count == layer ? nil : values[layer]))
      if keys.count == layer {
        keys.append(k)
        values.append(v)
      } else {
        (keys[layer], values[layer]) = (k, v)
      }
    }
    let new = capacity..<larger
    capacity = larger
    release(new)
  }
}
