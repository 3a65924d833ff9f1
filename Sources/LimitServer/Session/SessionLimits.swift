// The bounds that one connection lives within.

import LimitPolicy
import LimitProtocol

/// Numbers a session checks against; `daemon.limits` in the configuration.
struct SessionLimits: Sendable, BitwiseCopyable {
  /// Longest request frame, in bytes.
  var frameBytes: Int
  var batchItems: Int
  var keyBytes: Int
  var handles: Int
  var permits: Int
  /// Whether clients may set the clock that their requests are decided by. For tests only.
  var isClockSettable: Bool

  init(_ limits: DaemonSettings.Limits, isClockSettable: Bool) {
    frameBytes = limits.frameBytes
    batchItems = limits.batchItems
    keyBytes = limits.keyBytes
    handles = limits.handles
    permits = limits.permits
    self.isClockSettable = isClockSettable
  }
}
