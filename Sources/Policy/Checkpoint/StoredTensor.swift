/// A tensor in a memory-mapped file, row-major; its bytes may begin at any address.
public struct StoredTensor: Sendable {
  public let name: String
  public let elementType: ElementType
  public let shape: [Int]
  private let file: MappedFile
  private let range: Range<Int>

  init(_ entry: SafetensorsHeader.Entry, in file: MappedFile, dataStart: Int) {
    name = entry.name
    elementType = entry.elementType
    shape = entry.shape
    self.file = file
    range = (dataStart + entry.range.lowerBound)..<(dataStart + entry.range.upperBound)
  }

  /// Number of elements.
  public var count: Int { range.count / elementType.byteCount }
  /// Size in the file.
  public var byteCount: Int { range.count }

  /// Lends the stored bytes, which are **not aligned** to the element type; use `loadUnaligned`.
  public func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(rebasing: file.bytes[range]))
  }

  /// The elements as float32: F32 as they are, F16 and BF16 widened exactly, F64 rounded.
  /// - Throws: ``PolicyError`` with the code `unsupported` for the other types.
  public func floats() throws(PolicyError) -> [Float] {
    guard elementType.isWeight || elementType == .f64 else { throw wrongType("real numbers") }
    let count = count
    return withBytes { bytes in
      [Float](unsafeUninitializedCapacity: count) { out, initialized in
        switch elementType {
        case .f32:
          for i in 0..<count { out.initializeElement(at: i, to: Float(bitPattern: bytes.little(4 &* i))) }
        case .bf16:
          for i in 0..<count { out.initializeElement(at: i, to: HalfPrecision.float(bfloat16: bytes.little(2 &* i))) }
        case .f16:
          for i in 0..<count { out.initializeElement(at: i, to: HalfPrecision.float(half: bytes.little(2 &* i))) }
        default:
          for i in 0..<count { out.initializeElement(at: i, to: Float(Double(bitPattern: bytes.little(8 &* i)))) }
        }
        initialized = count
      }
    }
  }

  /// The elements of an integer or BOOL tensor.
  /// - Throws: ``PolicyError`` with the code `unsupported` for the other types.
  public func integers() throws(PolicyError) -> [Int] {
    guard elementType.isInteger else { throw wrongType("whole numbers") }
    let count = count
    let type = elementType
    return withBytes { bytes in
      (0..<count).map { i in
        switch type {
        case .i64: Int(bytes.little(8 &* i, as: Int64.self))
        case .i32: Int(bytes.little(4 &* i, as: Int32.self))
        case .u32: Int(bytes.little(4 &* i, as: UInt32.self))
        case .i16: Int(bytes.little(2 &* i, as: Int16.self))
        case .u16: Int(bytes.little(2 &* i, as: UInt16.self))
        case .i8: Int(bytes.little(i, as: Int8.self))
        default: Int(bytes[i])
        }
      }
    }
  }

  private func wrongType(_ wanted: String) -> PolicyError {
    PolicyError(
      .unsupported, "\(SafetensorsHeader.quoted(name)) holds \(elementType.rawValue), not \(wanted)", path: file.path)
  }
}

extension UnsafeRawBufferPointer {
  /// A little-endian integer at any byte offset.
  @inline(__always)
  fileprivate func little<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: T.Type = T.self) -> T {
    T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }
}
