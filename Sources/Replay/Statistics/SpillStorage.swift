/// An append-only file of bytes, handed to an accumulator whose values outgrow memory.
///
/// The analyses do no input or output of their own: the caller gives a ``SpillFactory``, usually one that makes an
/// ``UnlinkedFile``.
public protocol SpillStorage: AnyObject {
  /// Appends bytes at the end.
  func append(_ bytes: UnsafeRawBufferPointer) throws
  /// Fills the buffer from an offset and returns the number of bytes read: fewer only at the end.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

/// Makes one storage for each accumulator that spills.
public typealias SpillFactory = @Sendable () throws -> any SpillStorage
