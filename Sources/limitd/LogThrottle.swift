// Keeps lines of one kind from filling a log: a storm of refused connections is told, not recorded.

import LimitSystem

/// Counts lines per kind. Any thread.
final class LogThrottle: Sendable {
  /// Lines of one kind that are written at once, and after that one per this time.
  private static let burst = 50
  private static let periodNanoseconds: UInt64 = 200_000_000
  /// Kinds that are told apart; messages are constants of the code, so there are few.
  private static let kindsMax = 256

  private struct Kind {
    var left = LogThrottle.burst
    var since: UInt64
    var suppressedCount = 0
  }

  private let kinds = Locked<[String: Kind]>([:])

  /// Whether a line may be written now: `nil` where not, else how many of its kind were not since
  /// the last one that was.
  ///
  /// - Parameters:
  ///   - kind: the line without what varies in it.
  ///   - now: of any steady clock, in ns.
  func admit(_ kind: String, at now: UInt64) -> Int? {
    kinds.withLock { kinds in
      guard kinds[kind] != nil || kinds.count < Self.kindsMax else { return 0 }
      var entry = kinds[kind] ?? Kind(since: now)
      defer { kinds[kind] = entry }
      let periods = (now - min(now, entry.since)) / Self.periodNanoseconds
      if periods > 0 {
        entry.left = min(Self.burst, entry.left + Int(clamping: periods))
        entry.since += periods * Self.periodNanoseconds
      }
      guard entry.left > 0 else {
        entry.suppressedCount += 1
        return nil
      }
      entry.left -= 1
      defer { entry.suppressedCount = 0 }
      return entry.suppressedCount
    }
  }
}
