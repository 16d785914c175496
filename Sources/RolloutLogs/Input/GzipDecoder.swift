import CZlib

/// gzip members, until the input ends.
final class GzipDecoder: StreamDecoder {
  private var stream = z_stream()
  private var insideMember = false
  /// The damage that ended the stream.
  private var failure: InputError?

  init() throws(InputError) {
    guard arpo_inflate_init_gzip(&stream) == Z_OK else { throw .unreadable("no memory for the gzip decoder") }
  }

  deinit { inflateEnd(&stream) }

  func decode(_ input: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer, atEnd: Bool)
    throws(InputError) -> DecodeStep
  {
    if let failure { throw failure }
    stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
    stream.avail_in = UInt32(input.count)
    stream.next_out = out.bindMemory(to: UInt8.self).baseAddress
    let room = min(out.count, Int(UInt32.max))
    stream.avail_out = UInt32(room)
    while stream.avail_out == room, stream.avail_in > 0 || insideMember {
      if !insideMember {
        if isPadding(UnsafeRawBufferPointer(rebasing: input[(input.count - Int(stream.avail_in))...])) {
          stream.avail_in = 0
          break
        }
        inflateReset(&stream)
        insideMember = true
      }
      switch inflate(&stream, Z_NO_FLUSH) {
      case Z_STREAM_END: insideMember = false
      case Z_OK: break
      case Z_BUF_ERROR:
        if atEnd { throw .truncated("the gzip stream is cut off inside a member") }
        return DecodeStep(consumed: input.count - Int(stream.avail_in), produced: 0)
      default:
        let error = InputError.corrupt(
          "the gzip stream is damaged: \(stream.msg.map { String(cString: $0) } ?? "bad data")")
        // zlib has written what stands before the damage.
        if stream.avail_out == room { throw error }
        failure = error
      }
    }
    return DecodeStep(consumed: input.count - Int(stream.avail_in), produced: room - Int(stream.avail_out))
  }

  /// Zero bytes behind the last member, as tape and block devices leave them.
  private func isPadding(_ rest: UnsafeRawBufferPointer) -> Bool { rest.allSatisfy { $0 == 0 } }
}
