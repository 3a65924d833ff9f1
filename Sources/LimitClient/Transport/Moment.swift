// Points in time on CLOCK_MONOTONIC, for deadlines. Values: any thread may use them.

internal import Glibc

/// Nanoseconds of CLOCK_MONOTONIC, which no change of the wall clock moves.
struct Moment: Comparable, Sendable {
  var nanoseconds: UInt64

  static let distantPast = Moment(nanoseconds: 0)
  static let distantFuture = Moment(nanoseconds: .max)

  /// One call of the vDSO.
  static var now: Moment {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Moment(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
  }

  static func after(_ duration: Duration) -> Moment { now.advanced(by: duration) }

  static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }

  /// Later by `duration`; a negative one counts as none, one of centuries as 292 years.
  func advanced(by duration: Duration) -> Moment {
    let (seconds, attoseconds) = duration.components
    guard seconds >= 0, attoseconds >= 0 else { return self }
    let whole = UInt64(Swift.min(seconds, 9_223_372_035)) * 1_000_000_000
    let (sum, overflow) = nanoseconds.addingReportingOverflow(
      whole + UInt64(attoseconds / 1_000_000_000))
    return Moment(nanoseconds: overflow ? .max : sum)
  }

  /// Milliseconds until this moment, rounded up, as poll(2) and epoll_wait(2) take them.
  func millisecondsFromNow() -> CInt {
    let now = Moment.now
    guard self > now else { return 0 }
    let (whole, rest) = (nanoseconds - now.nanoseconds).quotientAndRemainder(
      dividingBy: 1_000_000)
    return CInt(clamping: rest == 0 ? whole : whole + 1)
  }

  /// Blocks this thread.
  static func sleep(until moment: Moment) {
    var time = moment.timespecValue
    while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
  }

  /// As pthread_cond_timedwait(3) takes it, of a condition on CLOCK_MONOTONIC.
  var timespecValue: timespec {
    timespec(
      tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
  }

  /// From `earlier` to this.
  func since(_ earlier: Moment) -> Duration {
    .nanoseconds(Int64(clamping: nanoseconds - Swift.min(nanoseconds, earlier.nanoseconds)))
  }
}
