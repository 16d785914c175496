import Foundation

/// A file that appears under its name only when it is complete and on the disk.
///
/// Bytes go to a temporary name in the same folder; `commit` flushes them, renames the file and flushes the folder. An
/// existing file, or a symbolic link under that name, is replaced as a whole: nothing is written through a link. Without
/// `commit` the temporary file disappears with the value.
public struct AtomicFile: ~Copyable {
  private let path: String
  private let temporary: String
  private let descriptor: Int32
  private var isOpen = true

  /// Opens the temporary file in the folder of `path`, which must exist.
  init(_ path: String) throws(PolicyError) {
    self.path = path
    var template = Array((path + ".writing-XXXXXX").utf8CString)
    descriptor = mkstemp(&template)
    temporary = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    guard descriptor >= 0 else { throw PolicyError(.unwritable, MappedFile.reason(), path: path) }
    // mkstemp gives the file to its owner alone; give it what other new files get.
    let mask = umask(0)
    umask(mask)
    fchmod(descriptor, 0o666 & ~mask)
  }

  /// The name that a temporary file's name was made from, where it is one by its form; earlier versions had no letters at
  /// its end.
  public static func target(ofTemporary name: String) -> String? {
    name.wholeMatch(of: /(.+)\.writing(-[A-Za-z0-9]{6})?/).map { String($0.1) }
  }

  deinit {
    if isOpen {
      close(descriptor)
      unlink(temporary)
    }
  }

  /// Appends bytes, all of them or throws.
  func write(_ bytes: UnsafeRawBufferPointer) throws(PolicyError) {
    var done = 0
    while done < bytes.count {
      let n = Foundation.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      if n < 0, errno == EINTR { continue }
      guard n > 0 else { throw PolicyError(.unwritable, MappedFile.reason(), path: path) }
      done += n
    }
  }

  /// Makes the file visible under its name.
  consuming func commit() throws(PolicyError) {
    guard fsync(descriptor) == 0 else { throw PolicyError(.unwritable, MappedFile.reason(), path: path) }
    guard rename(temporary, path) == 0 else { throw PolicyError(.unwritable, MappedFile.reason(), path: path) }
    close(descriptor)
    isOpen = false
    let folder = URL(filePath: path).deletingLastPathComponent().path
    Self.flush(folder: folder.isEmpty ? "." : folder)
  }

  /// Writes a whole file.
  /// - Throws: ``PolicyError`` with the code `unwritable`.
  public static func write(_ bytes: [UInt8], to path: String) throws(PolicyError) {
    let file = try AtomicFile(path)
    let written = bytes.withUnsafeBytes { all in Result { () throws(PolicyError) in try file.write(all) } }
    try written.get()
    try file.commit()
  }

  /// Returns when a folder's entries are on the disk: a renamed file survives a power cut only then.
  ///
  /// Some file systems refuse; then there is nothing more to do.
  public static func flush(folder: String) {
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }
}
