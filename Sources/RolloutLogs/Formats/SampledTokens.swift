import Foundation
import Rollouts

/// Collects what a log says token by token about one reply, or about the replies that make a trajectory.
///
/// Tokens are known by their ids if the log gives ids, else by their texts; a log that mixes both is refused. Of a
/// log that gives ids for the sampled tokens and only texts for the candidates beside them, the candidates other than
/// the sampled token have the id `unknownID`.
struct SampledTokens {
  /// Stands for a candidate whose id the log does not give; never the id of a sampled token.
  static let unknownID: Int32 = -1

  /// One token as a log names it.
  struct Name {
    var id: Int32?
    var text: String?
    var bytes: [UInt8]?
  }

  private var ids: [Int32] = []
  private var mask: [UInt8] = []
  private var logprobs: [Double?] = []
  private var counts: [Int32] = []
  private var candidateIDs: [Int32] = []
  private var candidateLogprobs: [Double?] = []

  private var isByID: Bool?
  private var strings: [TokenString] = []
  private var positions: [TokenString: Int32] = [:]

  /// The texts of all tokens behind each other, and where each begins; complete only while `textsAreKnown`.
  private var textBytes: [UInt8] = []
  private var textStarts: [Int] = []
  private var textsAreKnown = true

  private var sentinels = Tally()
  private var unlisted = Tally()
  /// The token that candidates are being added to: its name, whether it is among them, and whether there are any.
  private var current: (name: Name, isListed: Bool, hasCandidates: Bool)?

  private struct Tally {
    var count = 0
    var first: Int?
    mutating func add(_ index: Int) {
      count += 1
      first = first ?? index
    }
  }

  var count: Int { ids.count }

  // MARK: Adding

  /// Adds a token that the policy sampled; its candidates follow by `addCandidate`.
  mutating func add(_ name: Name, logprob: Double?, _ path: @autoclosure () -> String) throws(RecordError) {
    closeToken()
    let byID = name.id != nil
    guard isByID ?? byID == byID else {
      throw RecordError(.wrongType, "\(path()): some tokens of the reply have ids and some do not")
    }
    isByID = byID
    guard byID || name.text != nil else { throw RecordError(.missingField, "\(path()) has neither token nor id") }
    if let logprob, logprob <= Forensics.sentinel { sentinels.add(ids.count) }
    logprobs.append(logprob.flatMap { $0 <= Forensics.sentinel ? nil : $0 })
    ids.append(name.id ?? position(of: name))
    mask.append(1)
    counts.append(0)
    textStarts.append(textBytes.count)
    if let bytes = name.bytes ?? name.text.map({ Array($0.utf8) }) {
      textBytes += bytes
    } else {
      textsAreKnown = false
    }
    current = (name, false, false)
  }

  /// Adds one of the candidates at the position of the last token.
  mutating func addCandidate(_ name: Name, logprob: Double?) {
    guard var token = current, let last = counts.indices.last else { return }
    let isSampled = token.name.id != nil && name.id != nil ? name.id == token.name.id : Self.isSame(name, token.name)
    token.hasCandidates = true
    token.isListed = token.isListed || isSampled
    current = token
    guard let logprob else { return }
    if logprob <= Forensics.sentinel {
      sentinels.add(last)
      return
    }
    let id: Int32
    if isByID == true {
      id = name.id ?? (isSampled ? ids[last] : Self.unknownID)
    } else {
      id = position(of: name)
    }
    candidateIDs.append(id)
    candidateLogprobs.append(logprob)
    counts[last] += 1
  }

  /// Adds tokens that were not sampled: a tool's result inside the context.
  mutating func addInserted(_ inserted: some Collection<Int32>) {
    closeToken()
    ids += inserted
    mask += repeatElement(0, count: inserted.count)
    logprobs += repeatElement(nil, count: inserted.count)
    counts += repeatElement(0, count: inserted.count)
    textStarts += repeatElement(textBytes.count, count: inserted.count)
    textsAreKnown = textsAreKnown && inserted.isEmpty
    isByID = isByID ?? (inserted.isEmpty ? nil : true)
  }

  private mutating func closeToken() {
    if let token = current, token.hasCandidates, !token.isListed { unlisted.add(ids.count - 1) }
    current = nil
  }

  /// Same text and same bytes, where bytes that only repeat the text count as none.
  private static func isSame(_ a: Name, _ b: Name) -> Bool {
    guard let x = a.text, let y = b.text, x.utf8.elementsEqual(y.utf8) else { return false }
    return (a.bytes ?? Array(x.utf8)) == (b.bytes ?? Array(y.utf8))
  }

  private mutating func position(of name: Name) -> Int32 {
    let text = name.text ?? ""
    var key = TokenString(text)
    if let bytes = name.bytes, !bytes.elementsEqual(text.utf8) {
      key.bytes = bytes
    } else if !text.utf8.allSatisfy({ $0 < 0x80 }),
      !text.precomposedStringWithCanonicalMapping.utf8.elementsEqual(text.utf8)
    {
      // Swift's strings are equal if they look alike; tokens are not.
      key.bytes = Array(text.utf8)
    }
    if let known = positions[key] { return known }
    let new = Int32(truncatingIfNeeded: strings.count)
    positions[key] = new
    strings.append(key)
    return new
  }

  // MARK: Result

  /// The texts of the tokens from an index on, `nil` if one of them is unknown.
  func texts(from first: Int) -> TokenTexts? {
    guard textsAreKnown, first <= textStarts.count else { return nil }
    let offset = first < textStarts.count ? textStarts[first] : textBytes.count
    return TokenTexts(bytes: Array(textBytes[offset...]), starts: textStarts[first...].map { $0 - offset })
  }

  /// The columns, `nil` if there is no token.
  var columns: TokenColumns? {
    guard !ids.isEmpty else { return nil }
    var columns = TokenColumns(tokenIDs: ids, lossMask: mask)
    if logprobs.contains(where: { $0 != nil }) { columns.logprobs = RealColumn(logged: logprobs) }
    if !candidateIDs.isEmpty {
      columns.topLogprobs = TopLogprobs(
        counts: counts, tokenIDs: candidateIDs, logprobs: RealColumn(logged: candidateLogprobs))
    }
    if isByID == false { columns.strings = strings }
    return columns
  }

  /// What the numbers show.
  var findings: [Finding] {
    var unlisted = unlisted
    if let token = current, token.hasCandidates, !token.isListed { unlisted.add(ids.count - 1) }
    var out: [Finding] = []
    if let columns { out += Forensics.zeroRuns(columns, firstIndex: 0) }
    if sentinels.count > 0 {
      out.append(
        Finding(
          .sentinel, count: sentinels.count, firstIndex: sentinels.first,
          note: "read as missing where sampled, left out of the candidates"))
    }
    if unlisted.count > 0 {
      out.append(Finding(.sampledNotListed, count: unlisted.count, firstIndex: unlisted.first))
    }
    return out
  }
}

/// The texts of a run of tokens.
struct TokenTexts {
  /// All texts behind each other.
  var bytes: [UInt8]
  /// Where each token begins in `bytes`.
  var starts: [Int]

  /// The first token that begins at a byte or behind it; `starts.count` if none does.
  func token(at byte: Int) -> Int {
    var low = 0
    var high = starts.count
    while low < high {
      let middle = (low + high) / 2
      if starts[middle] < byte { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The text of a range of tokens.
  func text(_ range: Range<Int>) -> String {
    let start = range.lowerBound < starts.count ? starts[range.lowerBound] : bytes.count
    let end = range.upperBound < starts.count ? starts[range.upperBound] : bytes.count
    return String(decoding: bytes[start..<max(start, end)], as: UTF8.self)
  }
}
