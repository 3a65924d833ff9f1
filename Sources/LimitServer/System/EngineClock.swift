// The clock that decisions are made by.

import LimitEngine
import LimitSystem

extension Instant {
  /// Engine time now: CLOCK_BOOTTIME.
  @inline(__always) static func now() -> Instant { Instant(nanoseconds: Clock.bootNanoseconds()) }
}
