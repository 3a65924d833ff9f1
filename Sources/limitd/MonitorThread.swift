// Looks at what the event loops hand over of their decisions: every 100 ms while there is something, else
// every second. Readers of events whose time is over are answered on the way.

import Glibc
import LimitRuntime
import LimitSystem

enum MonitorThread {
  private static let busyMicroseconds: UInt32 = 100_000
  private static let idleMicroseconds: UInt32 = 1_000_000

  /// Begins to look; ends with the process.
  static func start(_ monitor: DecisionMonitor, _ events: EventLog) throws(SystemError) {
    _ = try Thread(named: "limitd-monitor", .background) {
      while true {
        let isBusy = monitor.drain()
        events.passTime()
        usleep(isBusy ? busyMicroseconds : idleMicroseconds)
      }
    }
  }
}
