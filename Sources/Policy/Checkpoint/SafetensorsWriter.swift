/// Writes safetensors files: complete under their name or not at all.
public enum SafetensorsWriter {
  /// One tensor to write.
  public struct Tensor {
    public var name: String
    public var elementType: ElementType
    public var shape: [Int]
    /// Called once, when the tensor's turn comes, so that no more than one is in memory.
    public var values: () throws(PolicyError) -> Values

    /// A tensor whose values are made when its turn comes.
    public init(
      _ name: String, _ elementType: ElementType, shape: [Int], values: @escaping () throws(PolicyError) -> Values
    ) {
      self.name = name
      self.elementType = elementType
      self.shape = shape
      self.values = values
    }

    /// A tensor with its values at hand.
    public init(_ name: String, _ elementType: ElementType = .f32, shape: [Int], floats: [Float]) {
      self.init(name, elementType, shape: shape) { () throws(PolicyError) in .floats(floats) }
    }
  }

  /// What a tensor holds.
  public enum Values {
    /// Rounded to the tensor's element type (F32, F16 or BF16; nearest, ties to even).
    case floats([Float])
    /// Copied byte for byte; must have the tensor's type and size.
    case stored(StoredTensor)
    /// The bytes as they shall stand in the file.
    case bytes([UInt8])
  }

  /// Writes the tensors one behind the other in the given order, with a header padded to a multiple of eight bytes.
  ///
  /// The file appears under its name when all of it is on the disk; an existing file is replaced as a whole.
  /// - Throws: ``PolicyError``: `mismatch` if values do not fit their shape or a name is given twice, `unwritable`.
  public static func write(
    _ tensors: [Tensor], to path: String, metadata: [(key: String, value: String)] = [("format", "pt")]
  ) throws(PolicyError) {
    var names: Set<String> = []
    for tensor in tensors where !names.insert(tensor.name).inserted || tensor.name == "__metadata__" {
      throw PolicyError(.mismatch, "the name \(SafetensorsHeader.quoted(tensor.name)) cannot be used twice", path: path)
    }
    let header = SafetensorsHeader(
      layingOut: tensors.map { ($0.name, $0.elementType, $0.shape) }, metadata: metadata)
    let file = try AtomicFile(path)
    try write(header.encoded(), to: file)
    for (tensor, entry) in zip(tensors, header.entries) {
      switch try tensor.values() {
      case .bytes(let bytes):
        try check(bytes.count, entry, path)
        try write(bytes, to: file)
      case .stored(let stored):
        try check(stored.elementType == tensor.elementType ? stored.byteCount : -1, entry, path)
        try stored.withBytes { (bytes) throws(PolicyError) in try file.write(bytes) }
      case .floats(let floats):
        try check(floats.count * tensor.elementType.byteCount, entry, path)
        try write(try encoded(floats, as: tensor.elementType, entry.name, path), to: file)
      }
    }
    try file.commit()
  }

  private static func check(_ count: Int, _ entry: SafetensorsHeader.Entry, _ path: String) throws(PolicyError) {
    guard count == entry.range.count else {
      throw PolicyError(
        .mismatch,
        "the values of \(SafetensorsHeader.quoted(entry.name)) do not fit \(entry.elementType.rawValue) \(entry.shape)",
        path: path)
    }
  }

  private static func write(_ bytes: [UInt8], to file: borrowing AtomicFile) throws(PolicyError) {
    var failure: PolicyError?
    bytes.withUnsafeBytes { all in
      do throws(PolicyError) { try file.write(all) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private static func encoded(
    _ floats: [Float], as type: ElementType, _ name: String, _ path: String
  ) throws(PolicyError) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: floats.count * type.byteCount)
    guard type.isWeight else {
      throw PolicyError(
        .unsupported, "\(SafetensorsHeader.quoted(name)) cannot be written as \(type.rawValue)", path: path)
    }
    out.withUnsafeMutableBytes { bytes in
      for (i, value) in floats.enumerated() {
        switch type {
        case .f32: bytes.storeBytes(of: value.bitPattern.littleEndian, toByteOffset: 4 &* i, as: UInt32.self)
        case .bf16:
          bytes.storeBytes(of: HalfPrecision.bfloat16(value).littleEndian, toByteOffset: 2 &* i, as: UInt16.self)
        default: bytes.storeBytes(of: HalfPrecision.half(value).littleEndian, toByteOffset: 2 &* i, as: UInt16.self)
        }
      }
    }
    return out
  }
}
