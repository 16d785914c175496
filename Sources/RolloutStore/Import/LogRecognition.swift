public import RolloutLogs

/// What a log turned out to be, from its first records.
public struct LogRecognition: Sendable {
  public var path: String
  public var container: Container
  public var layout: RecordStream.Layout
  public var format: String?
  public var runName: String
  /// Keys of the first record, for a refusal that helps.
  public var keys: [String]
  /// The first records' rollout records, for a preview.
  public var preview: [JSONValue]

  /// Why a log of no known format is refused.
  public var refusal: String {
    if preview.isEmpty { return "no JSON record at its beginning" }
    let names = LogFormats.all.map { $0.name }.joined(separator: ", ")
    return "its first record is in none of the formats \(names); keys seen: \(keys.joined(separator: ", "))"
  }
}

/// An opened log with its format.
struct OpenedLog {
  var stream: RecordStream
  var recognition: LogRecognition
  var format: any LogFormat

  init(
    path: String, options: ImportOptions, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(InputError) {
    let input = try LogInput(path: path, isCancelled: isCancelled)
    stream = RecordStream(input: input, blockSize: options.blockBytes, maxRecord: options.maxRecordBytes)
    let preview = stream.preview()
    recognition = LogRecognition(
      path: path, container: input.container, layout: stream.layout, format: nil, runName: "", keys: [],
      preview: preview)
    recognition.keys = preview.first?.keys ?? preview.first?.array?.first?.keys ?? []
    let type: (any LogFormat.Type)?
    if let name = options.format {
      type = LogFormats.named(name)
    } else {
      type = preview.lazy.compactMap { LogFormats.recognise($0) }.first
    }
    guard let type else {
      if stream.isInterrupted { throw .interrupted }
      if preview.isEmpty, let failure = stream.failure { throw failure }
      throw .refused("no log that this version reads: \(recognition.refusal)")
    }
    var file = LogFile(path: path)
    if !file.folderName.isEmpty, type.isNamedAfterFolder(file, isLineBased: stream.layout == .lines) {
      file.runName = file.folderName
    }
    if let name = options.runName { file.runName = name }
    recognition.runName = file.runName
    recognition.format = type.name
    format = type.init(file: file)
  }
}
