// Readings of the kernel's clocks. Any thread.

import CLinux
import Glibc

/// A clock of the kernel, read through the vDSO.
package enum Clock {
  /// Nanoseconds since boot, time asleep included (CLOCK_BOOTTIME). A stepped wall clock does not
  /// move it, and it goes on through restarts of the daemon.
  package static func bootNanoseconds() -> UInt64 {
    read(CLOCK_BOOTTIME)
  }

  /// Nanoseconds since the epoch, as the wall clock has it (CLOCK_REALTIME).
  package static func wallNanoseconds() -> UInt64 { read(CLOCK_REALTIME) }

  /// Nanoseconds since boot, time asleep not included (CLOCK_MONOTONIC): systemd's clock.
  package static func monotonicNanoseconds() -> UInt64 { read(CLOCK_MONOTONIC) }

  /// Whether somebody keeps the wall clock right, as the kernel was told (adjtimex(2)); `nil` where it
  /// does not say.
  package static var isWallSynchronized: Bool? {
    let answer = limitd_is_clock_synchronized()
    return answer < 0 ? nil : answer == 1
  }

  static func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(bitPattern: Int64(time.tv_sec)) &* 1_000_000_000
      &+ UInt64(bitPattern: Int64(time.tv_nsec))
  }
}
