// Queries and decisions in memory of the caller's, for whoever has many at hand.
//
// They are told by where they lie, so that each of their parts is read as it was written: a copy reads several
// parts at once, and a processor that has only just written them one by one makes it wait until they are in
// its cache. That was a twentieth of a batch's time.

extension Engine {
  /// Asks for the memory that a decision on this query will need. Whoever has several queries at hand does
  /// this for each as soon as its key is hashed, then decides them all: so the batch waits for memory once.
  public func prefetch(_ query: UnsafePointer<Query>, under policies: borrowing PolicySet) {
    for entry in policies.range(of: query.pointee.policy) {
      let rule = policies.rule(for: entry.limit, of: query.pointee.tenant)
      table(rule.pointee.scope.rawValue).pointee.prefetch(
        Self.identity(rule, query.pointee, level: 0),
        withSecondLine: rule.pointee.algorithm == .slidingWindow)
    }
  }

  /// As `check`.
  ///
  /// - Parameter decision: memory for one, initialized here.
  public func check(
    _ query: UnsafePointer<Query>, under policies: borrowing PolicySet, at now: Instant,
    into decision: UnsafeMutablePointer<Decision>
  ) {
    decision.initialize(
      to: decide(query.pointee, under: policies, at: now, intent: .check) { _, _ in })
  }
}
