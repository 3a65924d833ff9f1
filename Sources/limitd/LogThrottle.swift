// Keeps lines of one kind from filling a log: a storm of refused connections is told, not recorded.

import LimitRuntime
import LimitSystem

/// Counts lines per kind. Any thread.
final class LogThrottle: Sendable {
  /// Lines of one kind.
  private static let bound = SuppressingBucket.Bound(burst: 50, period: 200_000_000)
  /// Kinds that are told apart; messages are constants of the code, so there are few.
  private static let kindsMax = 256

  private let kinds = Locked<[String: SuppressingBucket]>([:])

  /// Whether a line may be written now: `nil` where not, else how many of its kind were not since
  /// the last one that was.
  ///
  /// - Parameters:
  ///   - kind: the line without what varies in it.
  ///   - now: of any steady clock, in ns.
  func admit(_ kind: String, at now: UInt64) -> UInt64? {
    kinds.withLock { kinds in
      guard kinds[kind] != nil || kinds.count < Self.kindsMax else { return 0 }
      return kinds[kind, default: SuppressingBucket(Self.bound, at: now)].take(at: now)
    }
  }
}
