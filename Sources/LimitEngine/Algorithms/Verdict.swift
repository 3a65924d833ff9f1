// What one algorithm says about one query.

/// One limit's answer, before it is applied. Times in nanoseconds.
struct Verdict {
  var outcome: Decision.Outcome
  /// The state word to store if the query is charged.
  var next: StateWord
  /// Whole units left: after the charge when admitted and charging, as things are otherwise.
  var remaining: UInt64
  /// Denied only: the least wait until the same cost fits.
  var retryAfter: UInt64
  /// The wait until the bucket is as if never used.
  var resetAfter: UInt64
}

/// Whether a decision takes what it admits.
enum Intent {
  /// Charge every limit of the policy; concurrency limits are looked at only.
  case check
  /// Charge nothing; the figures are those before any charge.
  case peek
  /// Charge every limit of the policy, concurrency limits included.
  case acquire
}
