// Work that goes on while a test looks at something else.

import Foundation
import Glibc
import Synchronization

/// Tells the workers of `withBackground` that they shall end, and whether they have begun.
public final class Background: Sendable {
  private let isEnded = Atomic(false)
  private let rounds = Atomic(0)
  private let failures = Atomic(0)

  /// Whether the workers shall end. Relaxed: the flag is its own whole message.
  public var isOver: Bool { isEnded.load(ordering: .relaxed) }

  /// Rounds of work that all workers have done together.
  public var roundCount: Int { rounds.load(ordering: .relaxed) }

  /// Counts a round of work.
  public func didRound() { rounds.add(1, ordering: .relaxed) }

  /// Workers that ended by an error.
  public var failureCount: Int { failures.load(ordering: .relaxed) }

  fileprivate func end() { isEnded.store(true, ordering: .relaxed) }
  fileprivate func didFail() { failures.add(1, ordering: .relaxed) }
}

/// Runs `work` on `count` threads while `body` runs. They see `isOver` when it returns or throws, and
/// are waited for.
///
/// - Parameter work: given the worker's number from 0. An error ends that worker alone.
public func withBackground<Result>(
  _ count: Int, _ work: @escaping @Sendable (Background, Int) throws -> Void,
  during body: (Background) throws -> Result
) rethrows -> Result {
  let background = Background()
  let ended = DispatchSemaphore(value: 0)
  for number in 0..<count {
    Thread.detachNewThread {
      do { try work(background, number) } catch { background.didFail() }
      ended.signal()
    }
  }
  defer {
    background.end()
    for _ in 0..<count { ended.wait() }
  }
  return try body(background)
}
