// Counts that several threads add to.

import Foundation

/// Counts by number, and how many answers they came from. Any thread.
public final class Tally: @unchecked Sendable {
  private let lock = NSLock()
  private var values: [Int]
  private var answers = 0

  public init(_ count: Int = 1) { values = Array(repeating: 0, count: count) }

  public func add(_ more: Int, to place: Int = 0) { lock.withLock { values[place] += more } }
  public func addAnswer() { lock.withLock { answers += 1 } }

  public var counts: [Int] { lock.withLock { values } }
  public var answerCount: Int { lock.withLock { answers } }
}
