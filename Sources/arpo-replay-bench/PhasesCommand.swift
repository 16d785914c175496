import ArgumentParser
import Foundation
import RolloutLogs
import Rollouts

/// Where the time of an import goes: its phases alone, one thread each.
struct PhasesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "phases", abstract: "Decompression and parsing of one log, alone.")

  @Argument(help: "A native log.")
  var log: String

  func run() throws {
    let clock = ContinuousClock()
    func seconds(_ start: ContinuousClock.Instant) -> Double {
      let d = (clock.now - start).components
      return Double(d.seconds) + Double(d.attoseconds) * 1e-18
    }
    var start = clock.now
    let bytes = try LogInput.uncompressedSize(of: log)
    let decode = seconds(start)

    let format = NativeLog(file: LogFile(path: log))
    let stream = RecordStream(input: try LogInput(path: log))
    _ = stream.preview(limit: 1)
    let recycle = stream.recycler()
    var parse = 0.0
    var tokens = 0
    start = clock.now
    while let block = stream.next() {
      let begin = clock.now
      for slice in block.slices {
        for record in try format.records(in: block.bytes(of: slice), at: slice.position) {
          if case .trajectory(let t) = record { tokens += t.columns?.count ?? 0 }
        }
      }
      parse += seconds(begin)
      recycle(block)
    }
    let megabytes = Double(bytes) / 1e6
    print("decompress and hash: \(fixed(decode, 3)) s, \(fixed(megabytes / decode, 0)) MB/s")
    print("parse to columns:    \(fixed(parse, 3)) s, \(fixed(megabytes / parse, 0)) MB/s, \(tokens) tokens")
    print("read, cut and parse: \(fixed(seconds(start), 3)) s")
  }
}

extension LogInput {
  /// Bytes of a log once it is decompressed, found by reading all of it.
  static func uncompressedSize(of log: String) throws -> Int {
    let input = try LogInput(path: log)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while try input.read(into: buffer) > 0 {}
    return input.bytesOut
  }
}
