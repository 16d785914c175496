import Foundation
internal import RolloutLogs

/// Which file of a checkpoint folder holds which tensor: `model.safetensors.index.json`, or the one `model.safetensors`.
///
/// Every name in an index is taken as hostile: it must be the plain name of a file in the folder.
struct CheckpointIndex {
  static let singleName = "model.safetensors"
  static let indexName = "model.safetensors.index.json"

  /// Sorted by bytes.
  let fileNames: [String]
  private let places: [String: String]

  init(directory: String) throws(PolicyError) {
    let manager = FileManager.default
    // As transformers: the single file goes first.
    if manager.fileExists(atPath: directory + "/" + Self.singleName) {
      fileNames = [Self.singleName]
      places = [:]
      return
    }
    let path = directory + "/" + Self.indexName
    guard manager.fileExists(atPath: path) else {
      let others = ["pytorch_model.bin", "pytorch_model.bin.index.json"].filter {
        manager.fileExists(atPath: directory + "/" + $0)
      }
      if let other = others.first {
        throw PolicyError(
          .unsupported, "holds \(other), pickled weights, which are not read; save it as safetensors", path: directory)
      }
      throw PolicyError(.unreadable, "holds neither \(Self.singleName) nor \(Self.indexName)", path: directory)
    }
    let json = try SmallJSON.read(path)
    guard let map = json["weight_map"]?.members, !map.isEmpty else {
      throw PolicyError(.malformed, "has no weight_map", path: path)
    }
    var places: [String: String] = [:]
    places.reserveCapacity(map.count)
    for member in map {
      guard let name = member.value.string else {
        throw PolicyError(
          .malformed, "weight_map places \(SafetensorsHeader.quoted(member.key)) in something that is no string",
          path: path)
      }
      guard Self.isPlainName(name) else {
        throw PolicyError(
          .malformed,
          "weight_map names \(SafetensorsHeader.quoted(name)), which is not the plain name of a "
            + ".safetensors file in this folder", path: path)
      }
      places[member.key] = name
    }
    self.places = places
    fileNames = Set(places.values).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The tensors that the index lists; none without an index.
  var tensorNames: [String] { places.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }

  /// Where the index places a tensor; `nil` if it does not list it.
  func fileName(of tensor: String) -> String? { places[tensor] }

  static func isPlainName(_ name: String) -> Bool {
    let suffix = ".safetensors"
    guard name.utf8.count > suffix.utf8.count, name.utf8.count <= 255, name.hasSuffix(suffix) else { return false }
    guard name.utf8.first != UInt8(ascii: ".") else { return false }
    return name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") }
  }
}
