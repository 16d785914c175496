import Rollouts

extension GroupRecord {
  /// The record as bytes, to be kept until the run is complete.
  var bytes: [UInt8] {
    var out = RecordWriter()
    out.write(id)
    out.write(step)
    out.write(control.count)
    for row in control {
      out.write(row.count)
      for cell in row {
        out.write(cell.sum)
        out.write(cell.count)
      }
    }
    out.write(trajectories.count)
    for t in trajectories { t.write(into: &out) }
    return out.bytes
  }

  init(_ bytes: UnsafeRawBufferPointer) {
    var reader = RecordReader(bytes)
    id = reader.string()
    step = reader.optionalInt()
    control = reader.array { reader in
      reader.array { reader in
        let sum = reader.double()
        return MeanSum(sum: sum, count: reader.int())
      }
    }
    trajectories = reader.array { TrajectoryRecordEntry(&$0) }
  }
}

extension RecordReader {
  /// A count, then as many elements.
  fileprivate mutating func array<T>(_ element: (inout RecordReader) -> T) -> [T] {
    var out: [T] = []
    let count = int()
    out.reserveCapacity(count)
    for _ in 0..<count { out.append(element(&self)) }
    return out
  }
}

extension TrajectoryRecordEntry {
  fileprivate func write(into out: inout RecordWriter) {
    out.write(id)
    out.write(isTextOnly)
    out.write(step)
    out.write(dataSource)
    out.write(policyVersion)
    out.write(reward)
    out.write(evidence.rawValue)
    out.write(generated)
    out.write(entropy.count)
    for e in entropy {
      out.write(e.covered)
      out.write(e.baseline)
      out.write(e.early.count)
      for w in e.early { w.write(into: &out) }
    }
    out.write(calls.count)
    for c in calls { c.write(into: &out) }
  }

  fileprivate init(_ reader: inout RecordReader) {
    id = reader.string()
    isTextOnly = reader.bool()
    step = reader.optionalInt()
    dataSource = reader.optionalString()
    policyVersion = reader.optionalInt()
    reward = reader.optionalDouble()
    evidence = Evidence(rawValue: reader.int())
    generated = reader.int()
    entropy = reader.array { reader in
      let covered = reader.int()
      let baseline = reader.optionalDouble()
      return TrajectoryEntropyEntry(
        covered: covered, baseline: baseline, early: reader.array { CallWindow(&$0) })
    }
    calls = reader.array { CallEntry(&$0) }
  }
}

extension CallEntry {
  fileprivate func write(into out: inout RecordWriter) {
    out.write(result)
    out.write(tool)
    out.write(toolCallID)
    out.write(position)
    out.write(isOwned)
    out.write(start)
    out.write(arpoLagged)
    out.write(arpoPostResult)
    out.write(arpoBaseline)
    out.write(paperDeltaV)
    out.write(paperDeltaLnV)
    out.write(windows.count)
    for row in windows {
      out.write(row.count)
      for w in row { w.write(into: &out) }
    }
  }

  fileprivate init(_ reader: inout RecordReader) {
    result = reader.int()
    tool = reader.string()
    toolCallID = reader.optionalString()
    position = reader.int()
    isOwned = reader.bool()
    start = reader.optionalInt()
    arpoLagged = reader.optionalDouble()
    arpoPostResult = reader.optionalDouble()
    arpoBaseline = reader.optionalDouble()
    paperDeltaV = reader.optionalDouble()
    paperDeltaLnV = reader.optionalDouble()
    windows = reader.array { $0.array { CallWindow(&$0) } }
  }
}

extension CallWindow {
  fileprivate func write(into out: inout RecordWriter) {
    out.write(count)
    out.write(mean)
    out.write(max)
    out.write(ownedCount)
    out.write(ownedSum)
    out.write(ownedMax)
    out.write(lower)
    out.write(upper)
  }

  fileprivate init(_ reader: inout RecordReader) {
    count = reader.int()
    mean = reader.optionalDouble()
    max = reader.optionalDouble()
    ownedCount = reader.int()
    ownedSum = reader.double()
    ownedMax = reader.optionalDouble()
    lower = reader.optionalDouble()
    upper = reader.optionalDouble()
  }
}
