// What one worker counts besides its decisions: what it refuses, what waits in its connections, and how
// long queries take. Memory that it alone writes, as with DecisionCounters.
//
//     0 …      requests refused, by the number of the reason
//     16 …     queries by how long they took, a bucket each (`DurationBuckets`), the last without a bound
//     32       the time that those took together, in ns
//     33, 34   bytes that wait: requests, replies

import Synchronization

/// The bounds of the buckets that durations are counted in.
package enum DurationBuckets {
  /// Upper bounds, in ns, each included: 200 ns to 10 ms.
  package static let bounds: [UInt64] = [
    200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
  ]
}

/// What one worker's further counters, or several workers' added up, say.
package struct LoopFigures: Sendable, Equatable {
  /// By the number of the reason, from 0.
  package var refused: [UInt64]
  /// By bucket of `DurationBuckets`, and one more for what takes longer than any.
  package var durations: [UInt64]
  /// In ns.
  package var durationSum: UInt64
  package var requestBytes: UInt64
  package var replyBytes: UInt64

  /// How many durations there are.
  package var durationCount: UInt64 { durations.reduce(0, &+) }
}

/// The further counters of one worker. It owns the memory; the worker writes, any thread reads.
package final class LoopCounters: @unchecked Sendable {
  static let refusedMax = 16
  static let durations = 16
  fileprivate static let durationSum = durations + 16
  fileprivate static let requestBytes = durationSum + 1
  fileprivate static let replyBytes = durationSum + 2
  static let wordCount = 64

  package let writer: LoopCounterWriter

  package init() {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: Self.wordCount * MemoryLayout<Atomic<UInt64>>.stride, alignment: 128)
    let words = memory.bindMemory(to: Atomic<UInt64>.self, capacity: Self.wordCount)
    for place in 0..<Self.wordCount { (words + place).initialize(to: Atomic(0)) }
    writer = LoopCounterWriter(words: words)
  }

  deinit { writer.words.deallocate() }

  /// The counts as they are now. Relaxed: a count publishes nothing.
  package func add(to figures: inout LoopFigures) {
    func word(_ place: Int) -> UInt64 { writer.words[place].load(ordering: .relaxed) }
    for place in 0..<Self.refusedMax { figures.refused[place] &+= word(place) }
    for place in figures.durations.indices {
      figures.durations[place] &+= word(Self.durations + place)
    }
    figures.durationSum &+= word(Self.durationSum)
    figures.requestBytes &+= word(Self.requestBytes)
    figures.replyBytes &+= word(Self.replyBytes)
  }
}

extension LoopFigures {
  /// Of no worker.
  package init() {
    refused = Array(repeating: 0, count: LoopCounters.refusedMax)
    durations = Array(repeating: 0, count: DurationBuckets.bounds.count + 1)
    (durationSum, requestBytes, replyBytes) = (0, 0, 0)
  }
}

/// How a worker counts. Only its thread uses it, while the worker lives.
package struct LoopCounterWriter: @unchecked Sendable, BitwiseCopyable {
  fileprivate let words: UnsafeMutablePointer<Atomic<UInt64>>

  /// A request was answered with an error.
  ///
  /// - Parameter reason: its number; one that is not known here counts as 0.
  package func countRefusal(_ reason: UInt16) {
    add(1, to: Int(reason) < LoopCounters.refusedMax ? Int(reason) : 0)
  }

  /// `count` queries took `nanoseconds` each. O(buckets).
  package func countDurations(_ count: UInt64, _ nanoseconds: UInt64) {
    let bucket =
      DurationBuckets.bounds.firstIndex { nanoseconds <= $0 } ?? DurationBuckets.bounds.count
    add(count, to: LoopCounters.durations + bucket)
    add(count &* nanoseconds, to: LoopCounters.durationSum)
  }

  /// What waits in a connection has changed by that many bytes.
  package func noteWaiting(requests: Int, replies: Int) {
    if requests != 0 { add(UInt64(bitPattern: Int64(requests)), to: LoopCounters.requestBytes) }
    if replies != 0 { add(UInt64(bitPattern: Int64(replies)), to: LoopCounters.replyBytes) }
  }

  /// Relaxed, and no exchange: one thread writes. Wraps, so that what is added may be taken away.
  private func add(_ number: UInt64, to place: Int) {
    let word = words + place
    word.pointee.store(word.pointee.load(ordering: .relaxed) &+ number, ordering: .relaxed)
  }
}
