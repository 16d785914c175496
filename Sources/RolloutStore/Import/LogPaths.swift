import Foundation

/// The files that the paths of an import stand for.
enum LogPaths {
  struct Entry: Equatable {
    var path: String
    /// Given by name, not found in a folder.
    var isExplicit: Bool
    /// A folder in which there is nothing to read, for somebody to say so.
    var isEmptyFolder = false
  }

  /// Folders are walked in the order of names by bytes; hidden files and databases are left out.
  static func expand(_ paths: [String], database: String) throws -> [Entry] {
    var out: [Entry] = []
    for path in paths {
      var isFolder: ObjCBool = false
      guard path != "-", FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
        out.append(Entry(path: path, isExplicit: true))
        continue
      }
      let found = try files(under: path, inside: []).filter { !isDatabase($0, database) }
      if found.isEmpty { out.append(Entry(path: path, isExplicit: false, isEmptyFolder: true)) }
      out += found.map { Entry(path: $0, isExplicit: false) }
    }
    return out
  }

  /// Regular files only (a pipe would keep the import waiting), and no folder inside itself.
  private static func files(under folder: String, inside folders: Set<String>) throws -> [String] {
    let real = URL(filePath: folder).resolvingSymlinksInPath().path
    guard !folders.contains(real) else { return [] }
    var out: [String] = []
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    for name in names.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) where !name.hasPrefix(".") {
      let path = folder.hasSuffix("/") ? folder + name : folder + "/" + name
      var info = stat()
      guard stat(path, &info) == 0 else { continue }
      switch info.st_mode & S_IFMT {
      case S_IFDIR: out += try files(under: path, inside: folders.union([real]))
      case S_IFREG: out.append(path)
      default: break
      }
    }
    return out
  }

  private static func isDatabase(_ path: String, _ database: String) -> Bool {
    [database, database + "-wal", database + "-shm", database + "-import"].contains {
      URL(filePath: path).standardizedFileURL == URL(filePath: $0).standardizedFileURL
    }
  }
}
