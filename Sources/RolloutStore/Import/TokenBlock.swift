/// The token columns of a record's segments, as `token_block` stores them.
struct TokenBlock: Sendable {
  /// Of each segment: token ids, mask, logprobs, entropies and candidates' logprobs, one blob behind the other.
  private(set) var columns: [UInt8] = []
  /// Of each segment: the candidates' ids.
  private(set) var candidateIDs: [UInt8] = []

  /// Begins the columns of the next segment.
  mutating func begin(tokenIDs blob: [UInt8]) -> TokenPlace {
    let place = TokenPlace(offset: columns.count, tokenIDs: blob.count)
    columns += blob
    return place
  }

  /// Appends a further column of the segment, in the order of ``TokenPlace``, and gives its length.
  mutating func add(_ blob: [UInt8]?) -> Int? {
    guard let blob else { return nil }
    columns += blob
    return blob.count
  }

  /// Appends the segment's candidates' ids and says where they stand.
  mutating func add(candidateIDs blob: [UInt8]) -> Range<Int> {
    candidateIDs += blob
    return (candidateIDs.count - blob.count)..<candidateIDs.count
  }
}

/// Where the columns of a segment stand in its block: an offset, and lengths in bytes of the columns behind each other.
struct TokenPlace: Sendable {
  var offset: Int
  var tokenIDs: Int
  var lossMask: Int?
  var logprobs: Int?
  var entropies: Int?
  var topLogprobs: Int?
  /// In the block's candidates' ids.
  var candidateIDs: Range<Int>?

  init(offset: Int, tokenIDs: Int) {
    self.offset = offset
    self.tokenIDs = tokenIDs
  }
}
