import Replay

/// The report of some groups, analysed one after the other.
func report(
  _ groups: [ReplayGroup], _ options: AuditOptions = AuditOptions(), calls: ((AuditCall) -> Void)? = nil
) throws -> AuditReport {
  var audit = EntropyAudit(options: options)
  for group in groups { try audit.add(EntropyAudit.analyse(group, options: options)) }
  return try audit.finish(eachCall: calls)
}

/// Whether two numbers agree, but for the rounding of sums in another order.
func isClose(_ a: Double?, _ b: Double?) -> Bool {
  guard let a, let b else { return a == nil && b == nil }
  return abs(a - b) <= 1e-9 * max(1, abs(b))
}
