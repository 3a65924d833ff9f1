// The clock that decisions are made by. Any thread.

import LimitEngine
import LimitSystem

extension Instant {
  /// Engine time now: CLOCK_BOOTTIME, in ns.
  @inline(__always) static func now() -> Instant { Instant(nanoseconds: Clock.bootNanoseconds()) }
}
