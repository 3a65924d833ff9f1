// Points and lengths of time on the engine's clock.
//
// The engine never reads a clock: `now` is an argument, read by the caller once per batch. Two
// types keep a point in time from being taken for a length of time. Both are whole nanoseconds.

/// A point on the engine's clock: nanoseconds since the engine's epoch, 0 ... `Instant.max`.
///
/// The epoch is the caller's: a daemon counts from boot, `limitctl replay` from 1970.
@frozen public struct Instant: Hashable, Comparable, Sendable, BitwiseCopyable {
  /// Nanoseconds since the epoch, below 2^62 (146 years).
  public let nanoseconds: UInt64

  /// The latest instant that the engine accepts: 2^62 − 1. With a tolerance of at most 2^61 added,
  /// every sum of times stays below 2^63.
  @inlinable public static var max: Instant { Instant(nanoseconds: (1 << 62) - 1) }

  /// - Precondition: `nanoseconds` is at most `Instant.max`.
  @inlinable public init(nanoseconds: UInt64) {
    precondition(nanoseconds < 1 << 62, "an instant lies within 2^62 ns of the epoch")
    self.nanoseconds = nanoseconds
  }

  @inlinable public static func < (left: Instant, right: Instant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
}

/// A length of time: whole nanoseconds, never negative.
@frozen public struct Nanoseconds: Hashable, Comparable, Sendable, BitwiseCopyable {
  public let count: UInt64

  @inlinable public init(_ count: UInt64) { self.count = count }

  @inlinable public static var zero: Nanoseconds { Nanoseconds(0) }
  @inlinable public static var microsecond: Nanoseconds { Nanoseconds(1_000) }
  @inlinable public static var millisecond: Nanoseconds { Nanoseconds(1_000_000) }
  @inlinable public static var second: Nanoseconds { Nanoseconds(1_000_000_000) }
  @inlinable public static var minute: Nanoseconds { Nanoseconds(60_000_000_000) }
  @inlinable public static var hour: Nanoseconds { Nanoseconds(3_600_000_000_000) }
  @inlinable public static var day: Nanoseconds { Nanoseconds(86_400_000_000_000) }

  @inlinable public static func < (left: Nanoseconds, right: Nanoseconds) -> Bool {
    left.count < right.count
  }

  @inlinable public static func * (left: UInt64, right: Nanoseconds) -> Nanoseconds {
    Nanoseconds(left * right.count)
  }
}
