import CZstd

/// zstd frames and skippable frames, until the input ends.
///
/// libzstd is given one block's header or body after the other and never more: what it decoded in a call that meets damage
/// it does not tell.
final class ZstdDecoder: StreamDecoder {
  private let context: OpaquePointer
  private var isInsideFrame = false
  /// What libzstd is given next, in bytes.
  private var wanted = ZstdDecoder.leastHeader
  /// Output may be waiting in libzstd.
  private var isDraining = false
  /// Frames with larger windows than this (zstd's own default limit) would break the bound on memory.
  private static let windowLog: Int32 = 27
  /// Bytes of a block's header; libzstd asks for the next block's together with a body.
  private static let blockHeader = 3
  /// Bytes that say how long a frame's header is.
  private static let leastHeader = 5

  init() throws(InputError) {
    guard let context = ZSTD_createDCtx() else { throw .unreadable("no memory for the zstd decoder") }
    self.context = context
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.windowLog)
  }

  deinit { ZSTD_freeDCtx(context) }

  /// The error that a result of libzstd stands for.
  private static func error(_ result: Int) -> InputError {
    let code = ZSTD_getErrorCode(result)
    if code == ZSTD_error_frameParameter_windowTooLarge {
      return .refused("a zstd frame with a window above 128 MiB (--long); recompress it: zstd -dc --long=31 F | zstd")
    }
    if code == ZSTD_error_dictionary_wrong {
      return .refused("a zstd frame that needs a dictionary; recompress it: zstd -dc -D DICTIONARY F | zstd")
    }
    return .corrupt("the zstd stream is damaged: \(String(cString: ZSTD_getErrorName(result)))")
  }

  func decode(_ input: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer, atEnd: Bool)
    throws(InputError) -> DecodeStep
  {
    var source = ZSTD_inBuffer(src: input.baseAddress, size: 0, pos: 0)
    var target = ZSTD_outBuffer(dst: out.baseAddress, size: out.count, pos: 0)
    while target.pos == 0, isDraining || source.pos < input.count {
      source.size = isDraining ? source.pos : min(input.count, source.pos + wanted)
      let hint = ZSTD_decompressStream(context, &target, &source)
      if ZSTD_isError(hint) != 0 { throw Self.error(hint) }
      isInsideFrame = hint != 0
      wanted = hint == 0 ? Self.leastHeader : hint > Self.blockHeader ? hint - Self.blockHeader : hint
      isDraining = isInsideFrame && target.pos == target.size
      if !isInsideFrame { break }
    }
    if atEnd, source.pos == input.count, target.pos == 0, isInsideFrame {
      throw .truncated("the zstd stream is cut off inside a frame")
    }
    return DecodeStep(consumed: source.pos, produced: target.pos)
  }
}
