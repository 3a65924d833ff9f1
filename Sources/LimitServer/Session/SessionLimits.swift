// The bounds that one connection lives within.

import LimitPolicy
import LimitProtocol

/// Numbers a session checks against; `daemon.limits` in the configuration.
struct SessionLimits: Sendable, BitwiseCopyable {
  /// Longest request frame, in bytes.
  var frameBytes = 65_536
  var batchItems = 1024
  var keyBytes = 1024
  var handles = 1024
  var permits = 1024
  /// Whether clients may set the clock that their requests are decided by. For tests only.
  var isClockSettable = false

  init() {}

  init(_ limits: DaemonSettings.Limits, isClockSettable: Bool) {
    frameBytes = limits.frameBytes
    batchItems = limits.batchItems
    keyBytes = limits.keyBytes
    handles = limits.handles
    permits = limits.permits
    self.isClockSettable = isClockSettable
  }
}
