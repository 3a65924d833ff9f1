// How old a snapshot is, and what the engine's clock says when it is restored. Pure; any thread.

import LimitEngine

/// The time between a snapshot and now.
///
/// Within one boot, CLOCK_BOOTTIME tells it. Across boots only the wall clock can: what it says has
/// passed counts as passed; a clock that went back says nothing has. One that jumped far ahead makes
/// everything be over, which fills buckets, and no more.
package struct SnapshotDating: Hashable, Sendable {
  /// Nanoseconds from the snapshot until now.
  package let elapsed: UInt64
  /// What makes the engine's clock go on from the snapshot's (`EngineClock`).
  package let clockOffset: UInt64

  /// Nine years: more is a broken clock, and says no less than that all is over.
  static let elapsedMax: UInt64 = 1 << 58
  /// Two of the longest windows, and a day: no window is in view for longer. Expiries, which count
  /// modulo 208 days, are not asked beyond that.
  private static let windowsMax: UInt64 = 63 * 86_400_000_000_000

  package init(_ info: SnapshotInfo, at clocks: HostClocks) {
    let isSameBoot = info.clocks.bootID.isSame(as: clocks.bootID)
    let before = isSameBoot ? info.clocks.boot : info.clocks.wall
    let now = isSameBoot ? clocks.boot : clocks.wall
    let elapsed = min(now > before ? now - before : 0, Self.elapsedMax)
    // What the engine's clock said then. After sixteen jumps of nine years it begins anew, with
    // nothing that could lie ahead of it.
    let then = info.clocks.boot &+ info.clockOffset
    let isInRange = then < 1 << 61 && then + elapsed < 1 << 61
    self.elapsed = isInRange ? elapsed : Self.elapsedMax
    clockOffset = isInRange ? then &+ elapsed &- clocks.boot : 0
    isOver = !isInRange
    areWindowsOver = self.elapsed > Self.windowsMax
  }

  private let isOver: Bool
  private let areWindowsOver: Bool

  /// Whether this bucket is as if never used by now, whatever its words seem to say.
  func isOver(_ record: BucketRecord) -> Bool { isOver || (areWindowsOver && record.isWindow) }
}
