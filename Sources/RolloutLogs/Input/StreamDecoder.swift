/// One step of a streaming decoder.
struct DecodeStep {
  var consumed = 0
  var produced = 0
}

/// A streaming decoder: any number of frames or members, one after the other.
protocol StreamDecoder {
  mutating func decode(_ input: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer, atEnd: Bool)
    throws(InputError) -> DecodeStep
}

struct PlainDecoder: StreamDecoder {
  mutating func decode(_ input: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer, atEnd: Bool)
    throws(InputError) -> DecodeStep
  {
    let n = min(input.count, out.count)
    if n > 0 { out.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<n])) }
    return DecodeStep(consumed: n, produced: n)
  }
}
