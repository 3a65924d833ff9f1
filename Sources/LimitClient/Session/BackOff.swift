// When to try again what has failed. No clock of its own: time is an argument. One owner at a time.

/// Attempts to connect, each further failure twice as far apart, less a random part of up to a half
/// so that many clients do not come back in step.
struct BackOff {
  private let first: Duration
  private let max: Duration
  private var failures = 0
  private var notBefore = Moment.distantPast
  private var failure: LimitClientError?

  init(first: Duration, max: Duration) {
    // Of a day at most, so that doubling it twenty times stays a duration.
    self.max = Swift.max(.zero, Swift.min(max, .seconds(86_400)))
    self.first = Swift.max(.zero, Swift.min(first, self.max))
  }

  /// - Throws: the last failure, while it is too early for another attempt.
  func check(at now: Moment) throws(LimitClientError) {
    if let failure, now < notBefore { throw failure }
  }

  mutating func failed(
    _ error: LimitClientError, at now: Moment, using generator: inout some RandomNumberGenerator
  ) {
    // A daemon of another version stays one for long. Beyond 2^20 times the first any maximum is
    // reached.
    let whole =
      error.code == .unsupportedVersion
      ? max : Swift.min(max, first * (1 << Swift.min(failures, 20)))
    failures += 1
    failure = error
    notBefore = now.advanced(by: whole * Double.random(in: 0.5...1, using: &generator))
  }

  mutating func failed(_ error: LimitClientError, at now: Moment) {
    var generator = SystemRandomNumberGenerator()
    failed(error, at: now, using: &generator)
  }

  /// The daemon has answered a request.
  mutating func succeeded() {
    failures = 0
    failure = nil
  }
}

/// Whether to do again what may be in vain, by count and not by time: not for 2, 4, … 1,024 times after it was in vain
/// once, twice, … running. One owner at a time.
struct CountedBackOff {
  /// One failure is forgotten after as many successes in a row as times were left out for it; else all after one.
  private let isWary: Bool
  private var failures = 0
  private var successes = 0
  private var pause = 0

  init(isWary: Bool = false) { self.isWary = isWary }

  /// Counts this time.
  mutating func isOver() -> Bool {
    guard pause > 0 else { return true }
    pause -= 1
    return false
  }

  mutating func failed() {
    failures = min(failures + 1, 10)
    successes = 0
    pause(1 << failures)
  }

  mutating func succeeded() {
    guard failures > 0 else { return }
    guard isWary else { return failures = 0 }
    successes += 1
    guard successes == 1 << failures else { return }
    (failures, successes) = (failures - 1, 0)
  }

  /// Not for at least `count` times.
  mutating func pause(_ count: Int) { pause = max(pause, count) }
}

/// Notices a daemon that has stopped answering although its connection stands. One owner at a time.
struct SilenceWatch {
  /// A connection that has answered nothing for this long, while calls on it timed out, is given
  /// up; its permits go back with it.
  static let silenceMax = Duration.seconds(5)

  private var since: Moment?

  /// When to give the connection up, if nothing is heard until then.
  var deadline: Moment? { since?.advanced(by: Self.silenceMax) }

  /// Something was received.
  mutating func heard() { since = nil }

  /// A call timed out.
  mutating func timedOut(at now: Moment) { if since == nil { since = now } }
}
