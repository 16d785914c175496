/// A safetensors file, memory-mapped: every tensor by its name.
public struct SafetensorsFile: Sendable {
  public let path: String
  /// In the order of their bytes.
  public let tensors: [StoredTensor]
  /// The string pairs of `__metadata__`.
  public let metadata: [String: String]
  private let byName: [String: Int]

  /// Maps the file and checks its header against its size.
  ///
  /// No tensor's bytes are read.
  /// - Throws: ``PolicyError``: `unreadable`, `malformed`, or `unsupported` for an unknown element type.
  public init(path: String) throws(PolicyError) {
    let file = try MappedFile(path: path)
    do throws(PolicyError) {
      let header = try SafetensorsHeader(file: file.bytes)
      self.path = path
      tensors = header.entries.map { StoredTensor($0, in: file, dataStart: header.dataStart) }
      metadata = Dictionary(header.metadata.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
      byName = Dictionary(
        header.entries.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    } catch {
      throw error.at(path)
    }
  }

  public var names: [String] { tensors.map(\.name) }

  /// The tensor of that name, or `nil`.
  public subscript(name: String) -> StoredTensor? { byName[name].map { tensors[$0] } }

  /// The tensor of that name.
  /// - Throws: ``PolicyError`` with the code `mismatch` if there is none.
  public func tensor(named name: String) throws(PolicyError) -> StoredTensor {
    guard let tensor = self[name] else {
      throw PolicyError(.mismatch, "has no tensor \(SafetensorsHeader.quoted(name))", path: path)
    }
    return tensor
  }
}
