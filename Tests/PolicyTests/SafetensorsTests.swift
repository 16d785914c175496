import Foundation
import TestSupport
import Testing

@testable import Policy

@Suite("safetensors")
struct SafetensorsTests {
  let folder = try! TemporaryFolder()

  @Test("what is written is read again, in every float type, with ranks from 0 and empty tensors")
  func roundTrip() throws {
    let path = folder.path("a.safetensors")
    try SafetensorsWriter.write(
      [
        .init("scalar", .f32, shape: [], floats: [1.5]),
        .init("none", .f16, shape: [3, 0, 2], floats: []),
        .init("brain", .bf16, shape: [3], floats: [1, -2, 0.1]),
        .init("half", .f16, shape: [1, 3], floats: [1, -2, 0.1]),
        .init("ü \"\\\n", .f32, shape: [2, 2], floats: [1, 2, 3, .infinity]),
        .init("ids", .i32, shape: [2]) { () throws(PolicyError) in .bytes([1, 0, 0, 0, 255, 255, 255, 255]) },
      ], to: path)
    let file = try SafetensorsFile(path: path)
    #expect(file.names == ["scalar", "none", "brain", "half", "ü \"\\\n", "ids"])
    #expect(file.metadata == ["format": "pt"])
    #expect(try file.tensor(named: "scalar").floats() == [1.5])
    #expect(try file.tensor(named: "scalar").shape == [])
    #expect(try file.tensor(named: "none").floats() == [])
    #expect(try file.tensor(named: "none").shape == [3, 0, 2])
    #expect(try file.tensor(named: "brain").floats() == [1, -2, 0.100097656])
    #expect(try file.tensor(named: "half").floats() == [1, -2, 0.099975586])
    #expect(try file.tensor(named: "ü \"\\\n").floats() == [1, 2, 3, .infinity])
    #expect(try file.tensor(named: "ids").integers() == [1, -1])
    #expect(policyError { _ = try file.tensor(named: "ids").floats() }?.code == .unsupported)
    #expect(policyError { _ = try file.tensor(named: "brain").integers() }?.code == .unsupported)
    #expect(policyError { _ = try file.tensor(named: "x") }?.code == .mismatch)
    let size = try Data(contentsOf: URL(filePath: path)).prefix(8).reduce(into: 0) { $0 = $0 >> 8 | UInt64($1) << 56 }
    #expect(size % 8 == 0)
  }

  @Test("a header of any length, so that tensors begin at odd addresses")
  func unaligned() throws {
    for padding in 0..<8 {
      let header =
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
        + String(repeating: " ", count: padding)
      var data = rawSafetensors(header)
      data.append(9)
      for value in [Float(1.25), -3] {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
      }
      let file = try SafetensorsFile(path: try folder.write(data, "\(padding).safetensors"))
      #expect(file.names == ["b", "a"])
      #expect(try file.tensor(named: "a").floats() == [1.25, -3])
      #expect(try file.tensor(named: "b").integers() == [9])
      #expect(file.metadata == [:])
    }
  }

  static let f32 = #"{"dtype":"F32","shape":[2],"data_offsets":"#

  @Test(
    "a lying file is refused with the reason",
    arguments: [
      ("", 0, UInt64?.none, "eight bytes"),
      ("{}", 0, 3, "only 2 follow"),
      ("{}", 0, .max, "at most 100000000"),
      ("{}", 0, 100_000_001, "at most 100000000"),
      ("{}", 1, nil, "belong to no tensor"),
      ("[]", 0, nil, "not a JSON object"),
      ("{\"a\":", 0, nil, "no valid JSON"),
      ("{\"a\":1}", 0, nil, "not an object"),
      ("{\"a\":\(f32)[0,8]},\"b\":\(f32)[4,12]}}", 12, nil, "overlaps"),
      ("{\"a\":\(f32)[0,8]},\"b\":\(f32)[0,8]}}", 8, nil, "overlaps"),
      ("{\"a\":\(f32)[0,8]},\"b\":\(f32)[12,20]}}", 20, nil, "belong to no tensor"),
      ("{\"a\":\(f32)[4,12]}}", 12, nil, "belong to no tensor"),
      ("{\"a\":\(f32)[0,8]}}", 12, nil, "belong to no tensor"),
      ("{\"a\":\(f32)[0,8]}}", 4, nil, "claims bytes"),
      ("{\"a\":\(f32)[8,0]}}", 8, nil, "claims bytes"),
      ("{\"a\":\(f32)[-8,0]}}", 8, nil, "claims bytes"),
      ("{\"a\":\(f32)[0,9223372036854775807]}}", 8, nil, "claims bytes"),
      ("{\"a\":\(f32)[0,9223372036854775808]}}", 8, nil, "data_offsets"),
      ("{\"a\":\(f32)[0,4]}}", 4, nil, "needs 8"),
      ("{\"a\":\(f32)[0]}}", 4, nil, "data_offsets"),
      ("{\"a\":\(f32)[0,8.0]}}", 8, nil, "data_offsets"),
      ("{\"a\":\(f32)[0,8]},\"a\":\(f32)[8,16]}}", 16, nil, "twice"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[2],\"data_offsets\":[0,8]}}", 8, nil, "twice"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,0]}}", 0, nil, "dimension"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, nil, "overflows"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, nil, "overflows"),
      ("{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, nil, "element type 'F4'"),
      ("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, nil, "no dtype"),
      ("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, nil, "no shape"),
      ("{\"__metadata__\":{\"a\":1}}", 0, nil, "not a string"),
      ("{\"__metadata__\":[]}", 0, nil, "not an object"),
      ("{\"a\u{1b}[31m\":1}", 0, nil, "no valid JSON"),
    ])
  func refused(_ header: String, data: Int, announced: UInt64?, reason: String) throws {
    let bytes = header.isEmpty ? Data([1, 2, 3]) : rawSafetensors(header, data: data, announced: announced)
    let path = try folder.write(bytes, "bad.safetensors")
    let error = policyError { _ = try SafetensorsFile(path: path) }
    #expect(error?.path == path)
    #expect(error?.message.contains(reason) == true, "\(String(describing: error))")
  }

  @Test("no damaged file is read as something else, and none brings the reader down")
  func fuzz() throws {
    var generator = SeededGenerator(seed: 5)
    let path = folder.path("fuzz.safetensors")
    try SafetensorsWriter.write(
      [
        .init("weight", .f32, shape: [3, 2], floats: [1, 2, 3, 4, 5, 6]),
        .init("b", .bf16, shape: [5], floats: [1, 2, 3, 4, 5]),
      ],
      to: path)
    let whole = try Data(contentsOf: URL(filePath: path))
    for length in 0..<whole.count {
      try whole.prefix(length).write(to: URL(filePath: path))
      #expect(policyError { _ = try SafetensorsFile(path: path) } != nil, "cut to \(length) bytes")
    }
    let headerEnd = whole.count - 34
    for _ in 0..<3000 {
      var damaged = whole
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        damaged[Int.random(in: 0..<headerEnd, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      try damaged.write(to: URL(filePath: path))
      guard let file = try? SafetensorsFile(path: path) else { continue }
      // Whatever is still accepted lies inside the file.
      #expect(file.tensors.reduce(0) { $0 + $1.byteCount } == 34)
      for tensor in file.tensors {
        #expect(tensor.shape.reduce(tensor.elementType.byteCount, *) == tensor.byteCount)
        _ = tensor.withBytes { $0.reduce(0) { $0 &+ Int($1) } }
      }
    }
  }

  @Test("a link is followed to a regular file and nowhere else; writing replaces the link, not what it leads to")
  func links() throws {
    let blob = folder.path("blob")
    try SafetensorsWriter.write([.init("a", shape: [1], floats: [1])], to: blob)
    let before = try Data(contentsOf: URL(filePath: blob))
    let link = folder.path("model.safetensors")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: blob)
    #expect(try SafetensorsFile(path: link).names == ["a"])
    try SafetensorsWriter.write([.init("b", shape: [1], floats: [2])], to: link)
    #expect(try SafetensorsFile(path: link).names == ["b"])
    #expect(try Data(contentsOf: URL(filePath: blob)) == before)

    let pipe = folder.path("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    #expect(policyError { _ = try SafetensorsFile(path: pipe) }?.message == "not a regular file")
    #expect(policyError { _ = try SafetensorsFile(path: folder.url.path) }?.code == .unreadable)
    #expect(policyError { _ = try SafetensorsFile(path: folder.path("absent")) }?.code == .unreadable)
  }

  @Test("a failed write leaves nothing behind and the old file as it was")
  func failedWrite() throws {
    let path = folder.path("kept.safetensors")
    try SafetensorsWriter.write([.init("a", shape: [1], floats: [1])], to: path)
    let before = try Data(contentsOf: URL(filePath: path))
    let wrong = policyError { try SafetensorsWriter.write([.init("a", shape: [2], floats: [1])], to: path) }
    #expect(wrong?.code == .mismatch)
    let twice = policyError {
      try SafetensorsWriter.write([.init("a", shape: [0], floats: []), .init("a", shape: [0], floats: [])], to: path)
    }
    #expect(twice?.code == .mismatch)
    #expect(policyError { try SafetensorsWriter.write([], to: folder.path("no/such/folder")) }?.code == .unwritable)
    #expect(try Data(contentsOf: URL(filePath: path)) == before)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["kept.safetensors"])
  }
}
