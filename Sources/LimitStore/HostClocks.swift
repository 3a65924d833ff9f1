// The host's clocks, read together: what state is dated with, and by what its age is found.
// A value: any thread.

package import LimitEngine
import LimitSystem

/// One boot of a host, as the kernel names it.
package struct BootID: Hashable, Sendable {
  package var low: UInt64
  package var high: UInt64

  package init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  /// Where the kernel does not say: equal to no boot, not even to itself (`isSame`).
  package static let unknown = BootID(low: 0, high: 0)

  /// Whether both are known to be the same boot.
  package func isSame(as other: BootID) -> Bool { self == other && self != .unknown }

  /// This boot's (random(4)); `unknown` where /proc does not show it, as under ProcSubset=pid.
  static func current() -> BootID {
    let digits = (SmallFile.text(of: "/proc/sys/kernel/random/boot_id") ?? "")
      .filter(\.isHexDigit)
    guard digits.count == 32, let high = UInt64(digits.prefix(16), radix: 16),
      let low = UInt64(digits.suffix(16), radix: 16)
    else { return .unknown }
    return BootID(low: low, high: high)
  }
}

/// A reading of the clocks.
package struct HostClocks: Hashable, Sendable {
  /// CLOCK_BOOTTIME, in ns.
  package var boot: UInt64
  /// CLOCK_REALTIME, in ns since 1970.
  package var wall: UInt64
  package var bootID: BootID

  package init(boot: UInt64, wall: UInt64, bootID: BootID) {
    self.boot = boot
    self.wall = wall
    self.bootID = bootID
  }

  package static func read() -> HostClocks {
    HostClocks(
      boot: Clock.bootNanoseconds(), wall: Clock.wallNanoseconds(), bootID: .current())
  }

  /// The engine's clock under an offset (`EngineClock`); `nil` where that is no instant.
  package func engine(offset: UInt64) -> Instant? {
    let nanoseconds = boot &+ offset
    // Half of what an instant can be: a daemon that starts may run for another 73 years.
    return nanoseconds < 1 << 61 ? Instant(nanoseconds: nanoseconds) : nil
  }
}
