// The clock that decisions are made by. Any thread.

import LimitEngine
import LimitRuntime

extension Instant {
  /// Engine time now.
  @inline(__always) static func now() -> Instant { EngineClock.now() }
}
