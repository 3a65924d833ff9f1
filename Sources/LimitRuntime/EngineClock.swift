// The clock that decisions are made by: time since boot, with an offset that makes it go on where
// the state that was restored left off. Any thread.
//
// Windows begin at multiples of their length on this clock, and buckets are full at instants of it.
// So where state outlives a boot, the clock goes on, and not the state is changed: its offset is
// chosen once, before anybody decides.

package import LimitEngine
import LimitSystem
import Synchronization

package enum EngineClock {
  /// What is added to CLOCK_BOOTTIME, in ns, modulo 2^64. Relaxed: set before there are threads.
  private static let offset = Atomic<UInt64>(0)

  /// Sets the offset. Once, before anybody decides.
  package static func setOffset(_ nanoseconds: UInt64) {
    offset.store(nanoseconds, ordering: .relaxed)
  }

  /// The reading for this instant of CLOCK_BOOTTIME, in ns.
  package static func instant(atBoot nanoseconds: UInt64) -> Instant {
    Instant(nanoseconds: nanoseconds &+ offset.load(ordering: .relaxed))
  }

  /// The reading now.
  package static func now() -> Instant { instant(atBoot: Clock.bootNanoseconds()) }
}
