import Foundation
import TestSupport
import Testing

@testable import RolloutLogs

/// Bytes come out of every container as they went in, and a damaged one is an error.
@Suite struct InputStreamTests {
  /// All bytes of an input, read in pieces, and what ended it.
  static func read(_ data: Data, piece: Int = 4096) throws -> (bytes: Data, error: InputError?, hash: String) {
    let folder = try TemporaryFolder()
    let path = try folder.write(data, "log")
    let input: LogInput
    do throws(InputError) { input = try LogInput(path: path) } catch {
      return (Data(), error, "")
    }
    var out = Data()
    var buffer = [UInt8](repeating: 0, count: piece)
    while true {
      var n = 0
      do throws(InputError) { n = try Self.read(input, into: &buffer) } catch { return (out, error, input.hash) }
      if n == 0 { return (out, nil, input.hash) }
      out += buffer[..<n]
    }
  }

  private static func read(_ input: LogInput, into buffer: inout [UInt8]) throws(InputError) -> Int {
    let result = buffer.withUnsafeMutableBytes { bytes in
      Result { () throws(InputError) in try input.read(into: bytes) }
    }
    return try result.get()
  }

  static func bytes(_ count: Int, seed: UInt64) -> Data {
    var random = SeededGenerator(seed: seed)
    return Data((0..<count).map { _ in UInt8.random(in: 97...110, using: &random) })
  }

  /// A frame that holds no data and is to be read over.
  static func skippable(_ count: Int) -> Data {
    Data([0x50, 0x2A, 0x4D, 0x18, UInt8(count & 255), UInt8(count >> 8), 0, 0]) + Data(count: count)
  }

  @Test(arguments: Compression.allCases) func anyNumberOfFramesAndMembers(compression: Compression) throws {
    let parts = [0, 1, 5000, 0, 300_000, 17].enumerated().map { Self.bytes($1, seed: UInt64($0)) }
    let whole = parts.reduce(Data(), +)
    let data = try compression.compress(parts)
    for piece in [1, 777, 1 << 16] where piece > 1 || whole.count < 400_000 {
      if piece == 1 {
        let small = try compression.compress(Array(parts[..<3]))
        #expect(try Self.read(small, piece: 1).bytes == parts[..<3].reduce(Data(), +))
        continue
      }
      let got = try Self.read(data, piece: piece)
      #expect(got.bytes == whole && got.error == nil)
    }
  }

  @Test func skippableFramesAreReadOver() throws {
    let a = try Compression.zstd.compress(Data("a\n".utf8))
    let b = try Compression.zstd.compress(Data("b\n".utf8))
    for data in [
      Self.skippable(5) + a + b, a + Self.skippable(0) + b, a + b + Self.skippable(300),
      Self.skippable(9) + Self.skippable(1) + a + Self.skippable(2) + b,
    ] {
      let got = try Self.read(data)
      #expect(got.bytes == Data("a\nb\n".utf8) && got.error == nil)
    }
    let got = try Self.read(Self.skippable(12))
    #expect(got.bytes.isEmpty && got.error == nil)
  }

  @Test func zerosBehindTheLastMemberAreNoMember() throws {
    let data = try Compression.gzip.compress(Data("a\n".utf8)) + Data(count: 1000)
    let got = try Self.read(data)
    #expect(got.bytes == Data("a\n".utf8) && got.error == nil)
  }

  /// Cut off at every byte: clean only between frames, an error that says so elsewhere, and never more than there was.
  @Test(arguments: Compression.allCases) func cutOffAtEveryByte(compression: Compression) throws {
    let parts = [Data("first line\n".utf8), Self.bytes(200, seed: 3), Data("last\n".utf8)]
    let frames = try parts.map { try compression.compress($0) }
    let data = frames.reduce(Data(), +)
    let whole = parts.reduce(Data(), +)
    var ends = [0]
    for frame in frames { ends.append(ends[ends.count - 1] + frame.count) }
    // Fewer bytes than the magic number are no container yet.
    for n in 4...data.count {
      let got = try Self.read(data.prefix(n))
      #expect(whole.starts(with: got.bytes))
      if ends.contains(n) {
        #expect(
          got.error == nil && got.bytes.count == parts[..<(ends.firstIndex(of: n) ?? 0)].reduce(0) { $0 + $1.count })
      } else if case .truncated = got.error {
      } else {
        Issue.record("cut at \(n) of \(data.count): \(String(describing: got.error))")
      }
    }
  }

  /// Every byte changed in turn: whatever comes of it, it ends.
  @Test(arguments: Compression.allCases) func everyByteChanged(compression: Compression) throws {
    let data = try compression.compress([Self.bytes(300, seed: 5), Self.bytes(10, seed: 6)])
    var errors = 0
    for i in data.indices {
      for mask in [0x01, 0x80, 0xFF] as [UInt8] {
        var damaged = data
        damaged[i] ^= mask
        let got = try Self.read(damaged)
        #expect(got.bytes.count < 1 << 20)
        if got.error != nil { errors += 1 }
      }
    }
    #expect(errors * 2 > data.count * 3)
  }

  @Test(arguments: Compression.allCases) func textBehindTheStreamIsAnError(compression: Compression) throws {
    let got = try Self.read(try compression.compress(Data("a\n".utf8)) + Data("not compressed at all\n".utf8))
    #expect(got.bytes == Data("a\n".utf8))
    if case .corrupt = got.error {} else { Issue.record("\(String(describing: got.error))") }
  }

  /// However much is asked for at once, what stands before a damaged block comes out.
  @Test func whatStandsBeforeDamageComesOut() throws {
    let block = 1 << 17
    let whole = Self.bytes(4 * block + 5000, seed: 9)
    var data = try Compression.zstd.compress(whole)
    // In the middle of the last block, which is the shortest by far.
    data[data.count - 1500] ^= 0xFF
    for piece in [1000, 1 << 16, 1 << 18, 1 << 20] {
      let got = try Self.read(data, piece: piece)
      if case .corrupt = got.error {} else { Issue.record("\(piece): \(String(describing: got.error))") }
      #expect(got.bytes.prefix(4 * block) == whole.prefix(4 * block), "\(piece): \(got.bytes.count) bytes")
    }
  }

  @Test func whatStandsBeforeADamagedBlockHeaderComesOut() throws {
    let block = 1 << 17
    let whole = Self.bytes(4 * block + 5000, seed: 9)
    var data = try Compression.zstd.compress(whole)
    // Behind the magic number stand what the frame's header holds, its window or the data's length, and the blocks.
    var header = data[4] & 0x20 == 0 ? 6 : 5
    header += [data[4] & 0x20 == 0 ? 0 : 1, 2, 4, 8][Int(data[4] >> 6)]
    while data[header] & 1 == 0 {
      header += 3 + (Int(data[header]) | Int(data[header + 1]) << 8 | Int(data[header + 2]) << 16) >> 3
    }
    // No block is of this type.
    data[header] |= 6
    for piece in [1000, 1 << 18, 1 << 20] {
      let got = try Self.read(data, piece: piece)
      if case .corrupt = got.error {} else { Issue.record("\(piece): \(String(describing: got.error))") }
      let isWhole = got.bytes == whole.prefix(4 * block)
      #expect(isWhole, "\(piece): \(got.bytes.count) bytes")
    }
  }

  /// The check behind a member says that it is damaged, and not where.
  @Test func whatAGzipMemberHeldBeforeItsDamageComesOut() throws {
    let whole = Self.bytes(2000, seed: 10)
    var data = try Compression.gzip.compress(whole)
    data[data.count - 6] ^= 0x10
    for piece in [100, 2000, 1 << 16] {
      let got = try Self.read(data, piece: piece)
      if case .corrupt = got.error {} else { Issue.record("\(piece): \(String(describing: got.error))") }
      let isWhole = got.bytes == whole
      #expect(isWhole, "\(piece): \(got.bytes.count) bytes")
    }
  }

  @Test func aDictionaryIsNamed() throws {
    // A frame with the id of a dictionary, and a stored block.
    let frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x01, 0x00, 0x05, 0x11, 0x00, 0x00, 0x61, 0x0A]
    let got = try Self.read(Compression.zstd.compress(Data("a\n".utf8)) + Data(frame))
    #expect(got.bytes == Data("a\n".utf8))
    #expect(
      got.error?.description.contains("dictionary") == true && got.error?.description.contains("damaged") == false)
  }

  // MARK: SHA-256

  static let vectors = [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (String(repeating: "a", count: 1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
  ]

  @Test(arguments: vectors) func publishedHashes(text: String, hash: String) throws {
    var sha = SHA256()
    sha.add(Data(text.utf8))
    #expect(sha.hex == hash)
    // In pieces of every size around the block's.
    for size in [1, 55, 56, 63, 64, 65, 4000] where text.count < 1000 || size > 50 {
      var pieces = SHA256()
      let data = Data(text.utf8)
      for start in stride(from: 0, to: data.count, by: size) { pieces.add(data[start..<min(start + size, data.count)]) }
      #expect(pieces.hex == hash)
    }
    let folder = try TemporaryFolder()
    let path = try folder.write(Data((text + "more").utf8), "file")
    #expect(try LogInput.hash(path: path, first: text.utf8.count) == hash)
    #expect(try LogInput.hash(path: path, first: text.utf8.count + 5) == nil)
  }

  @Test(arguments: Compression.allCases) func theHashIsThatOfTheStoredBytes(compression: Compression) throws {
    let data = try compression.compress(Self.bytes(200_000, seed: 1))
    var sha = SHA256()
    sha.add(data)
    #expect(try Self.read(data).hash == sha.hex)
  }

  // MARK: Recognition

  @Test(
    arguments: [
      ([0x28, 0xB5, 0x2F, 0xFD], Container.zstd), ([0x5A, 0x2A, 0x4D, 0x18], .zstd), ([0x1F, 0x8B], .gzip),
      (Array("{\"a\"".utf8), .plain),
      ([], .plain), ([0x28], .plain), ([0xEF, 0xBB, 0xBF, 0x7B], .plain), ([0x50, 0x2A, 0x4D, 0x19], .plain),
    ] as [([UInt8], Container)]) func containersAreKnownByTheirFirstBytes(head: [UInt8], container: Container) throws
  {
    #expect(try Container.detect(head) == container)
  }

  @Test func filesThatCannotBeReadSaySo() throws {
    let folder = try TemporaryFolder()
    for path in [folder.path("absent"), folder.url.path] {
      #expect(throws: InputError.self) {
        let input = try LogInput(path: path)
        var buffer = [UInt8](repeating: 0, count: 10)
        _ = try Self.read(input, into: &buffer)
      }
    }
  }
}
extension SHA256 {
  fileprivate mutating func add(_ data: Data) { data.withUnsafeBytes { add($0) } }
}
