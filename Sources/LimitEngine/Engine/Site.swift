// One limit's bucket as one query sees it.

/// Where a query meets a limit's bucket, what was seen there, and what the limit says to that.
///
/// 64 bytes: sixteen of them, a policy's most, are the 1,024 bytes that a stack allocation of
/// changing use may take.
struct Site {
  /// The bucket's slot, or `nil` where it has none yet and is as if unused.
  var slot: Slot?
  /// Its words when it was looked at.
  var current: StateWord
  var previous: StateWord
  /// From the verdict: see there.
  var next: StateWord
  var remaining: UInt64
  var retryAfter: UInt64
  var resetAfter: UInt64
  var outcome: Decision.Outcome
  /// By how many scopes the bucket is wider than the limit's own.
  var level: UInt8
  /// Whether the window must be rolled on for `next`.
  var rolls: Bool
  /// Whether the window of `next` begins after the query's reading of the clock.
  var isAhead: Bool
  /// Whether this query has charged the bucket.
  var isCharged: Bool

  @inline(__always) init(
    _ slot: Slot?, _ current: StateWord, previous: StateWord, _ verdict: Verdict, level: UInt8,
    rolls: Bool = false, isAhead: Bool = false
  ) {
    self.slot = slot
    self.current = current
    self.previous = previous
    next = verdict.next
    remaining = verdict.remaining
    retryAfter = verdict.retryAfter
    resetAfter = verdict.resetAfter
    outcome = verdict.outcome
    self.level = level
    self.rolls = rolls
    self.isAhead = isAhead
    isCharged = false
  }
}
