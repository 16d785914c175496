// Token columns as blobs.
//
// A blob begins with a byte that names its coding, then come variable-length integers (LEB128) and planes. Numbers of w
// bytes are split into w byte planes, because bytes of like meaning compress: ids rarely use their upper bytes, and the
// exponents of log-probabilities are few. A plane is
//
//   0 bytes…                 the bytes themselves
//   1 byte                   all bytes are this one
//   2 length zstd-frame      compressed; read, no longer written
//   3 base bytes…            values below base + 4, less base, four in a byte, the first in the low bits
//   4 base count bytes… escapes…  values in base ..< base + 15, less base, two in a byte, the first in the low half; 15 stands
//                            for the next of the escapes (the values themselves), of which there are `count`
//   5 base count (gap byte)… all are base but for `count` values, each after a gap of so many others (LEB128)
//   6 base count bits… others…  a bit for each value, the first lowest: 0 is base, 1 the next of `count` others, which
//                            are below base + 4; they are less base + 1, four in a byte
//
// and the codings are
//
//   1 count, 4 planes                              whole numbers (Int32)
//   2 precision, count, 4 or 8 planes              reals; NaN = not in the log; precision as RealColumn.Precision
//   3 first value, number of runs, run lengths     a mask of 0 and 1
//   7 precision, rows, counts, places, reals       candidates, whose ids are a blob of whole numbers of their own: counts
//                                                  is 0 and one number for all rows, or 1 and one a row
//     places is 0, or 1 and a plane: the place of the sampled token among the candidates of its row, 255 if it is not one
//     of them; so an entropy needs no ids.
//     reals are 0 and 4 or 8 planes, or 1 and "steps": exponent e, best (4 planes), steps (2 planes, each the
//     difference from the candidate before it in its row), number of rows that this does not reproduce, their numbers,
//     and their values (4 planes).
//   6 precision, rows, counts, places, ids, reals  candidates with their ids, 4 planes
//   4 precision, rows, counts, ids, reals          the same without places; read, no longer written
//   5 number of generated runs, for each the inserted tokens before it and its length, inserted tokens at the end,
//     then 0, or 1 and the number of stretches of equal values and their lengths; then their values, 8 planes
//                                                  advantages of a path: a value a generated token, or a stretch
//
// Steps: logits were bf16 before the log-softmax, so the candidates of a row lie a few multiples of 2^-e below the best
// one: lp = best - steps * 2^-e in float32, bit for bit, or the row is listed with its values.

// Which coding a plane gets is decided by counting. A general compressor would gain another tenth, at ten times the time
// of these codings, both ways.

/// The first byte of a column's blob.
enum ColumnCoding: UInt8 {
  case integers = 1
  case reals = 2
  case mask = 3
  case candidatesWithoutPlaces = 4
  case advantages = 5
  case candidates = 6
  case candidatesWithoutIDs = 7
}

/// A blob that does not hold what it should: the database was damaged or written by something else.
public struct ColumnError: Error, Sendable, CustomStringConvertible {
  public var description: String

  init(_ description: String) { self.description = description }
}
