// What one worker has decided, counted in memory that it alone writes: no lock, no shared cache line,
// no allocation, a load, an addition and a store per count. Others read the words as they are.
//
// A block is 64 words, 512 bytes, on cache lines of its own:
//
//     0        units admitted            4   denied since the tenant is blocked
//     1        past a soft threshold     5   denied since the tenant is unknown
//     2        a shadow limit would have denied
//     3        charged in a wider bucket, since there was no room
//     8 + 3p   decided by the policy's limit p: allowed, denied, never
//
// The memory of blocks that are not used is never touched, and so costs nothing.

import Glibc
public import LimitEngine
public import Synchronization

/// The counters of one worker. It owns the memory; the worker writes, any thread reads.
public final class DecisionCounters: @unchecked Sendable {
  /// Words of a block.
  @inlinable public static var blockWords: Int { 64 }

  package let writer: CounterWriter

  package init() {
    let count = CounterRegistry.blocksMax * Self.blockWords
    // Fresh pages of the kernel's: zero, and taken when they are first written.
    let bytes = (count * MemoryLayout<UInt64>.stride + 4095) & ~4095
    let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { fatalError("no memory for the counters") }
    byteCount = bytes
    writer = CounterWriter(
      words: memory.bindMemory(to: Atomic<UInt64>.self, capacity: count))
  }

  private let byteCount: Int

  deinit { munmap(writer.words, byteCount) }

  /// Adds a block's words, as they are now, to `sums`, which has as many.
  package func add(block: UInt16, to sums: inout [UInt64]) {
    let words = writer.words + Int(block) * Self.blockWords
    for place in 0..<Self.blockWords {
      // Relaxed: a count publishes nothing.
      sums[place] &+= words[place].load(ordering: .relaxed)
    }
  }
}

/// Which word of a block counts what.
@frozen public enum CounterWord {
  @inlinable static var units: Int { 0 }
  @inlinable static var softThreshold: Int { 1 }
  @inlinable static var shadowDenied: Int { 2 }
  @inlinable static var overflow: Int { 3 }
  @inlinable static var blocked: Int { 4 }
  @inlinable static var unknownTenant: Int { 5 }
  @inlinable static var decided: Int { 8 }
  @inlinable static var perLimit: Int { 3 }
}

/// How a worker counts. Only its thread uses it, while the worker lives. Public, since only what is
/// public is inlined into other modules.
@frozen public struct CounterWriter: @unchecked Sendable, BitwiseCopyable {
  @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>

  fileprivate init(words: UnsafeMutablePointer<Atomic<UInt64>>) { self.words = words }

  /// Counts a decision that was made on a query of `cost`.
  ///
  /// - Precondition: `block` was given by the registry.
  @inlinable @inline(__always) public func count(
    _ decision: Decision, cost: UInt64, in block: UInt16
  ) {
    let words = words + Int(block) &* DecisionCounters.blockWords
    guard decision.place < CounterWriter.placesMax else {
      return countWithoutLimit(decision.reason, words)
    }
    let place = Int(decision.place) &* CounterWord.perLimit &+ Int(decision.outcome.rawValue)
    Self.add(1, to: words + (CounterWord.decided &+ place))
    if decision.outcome == .allow { Self.add(cost, to: words + CounterWord.units) }
    if !decision.flags.isEmpty { countFlags(decision.flags, words) }
  }

  /// Places of a block.
  @inlinable static var placesMax: UInt8 { 16 }

  @inline(never) @usableFromInline func countWithoutLimit(
    _ reason: Decision.Reason, _ words: UnsafeMutablePointer<Atomic<UInt64>>
  ) {
    Self.add(
      1, to: words + (reason == .blocked ? CounterWord.blocked : CounterWord.unknownTenant))
  }

  @inline(never) @usableFromInline func countFlags(
    _ flags: Decision.Flags, _ words: UnsafeMutablePointer<Atomic<UInt64>>
  ) {
    if flags.contains(.softThreshold) { Self.add(1, to: words + CounterWord.softThreshold) }
    if flags.contains(.shadowDenied) { Self.add(1, to: words + CounterWord.shadowDenied) }
    if flags.contains(.overflow) { Self.add(1, to: words + CounterWord.overflow) }
  }

  /// Relaxed, and no exchange: one thread writes.
  @inlinable @inline(__always) static func add(
    _ number: UInt64, to word: UnsafeMutablePointer<Atomic<UInt64>>
  ) {
    word.pointee.store(word.pointee.load(ordering: .relaxed) &+ number, ordering: .relaxed)
  }
}

extension DecisionCounters {
  /// What the limit at `place` of a policy decided with `outcome`, among a block's words.
  package static func decided(place: Int, _ outcome: Decision.Outcome, in words: [UInt64])
    -> UInt64
  { words[CounterWord.decided + place * CounterWord.perLimit + Int(outcome.rawValue)] }

  /// The other figures among a block's words.
  package static func units(in words: [UInt64]) -> UInt64 { words[CounterWord.units] }
  package static func softThreshold(in words: [UInt64]) -> UInt64 {
    words[CounterWord.softThreshold]
  }
  package static func shadowDenied(in words: [UInt64]) -> UInt64 {
    words[CounterWord.shadowDenied]
  }
  package static func overflow(in words: [UInt64]) -> UInt64 { words[CounterWord.overflow] }
  package static func blocked(in words: [UInt64]) -> UInt64 { words[CounterWord.blocked] }
  package static func unknownTenant(in words: [UInt64]) -> UInt64 {
    words[CounterWord.unknownTenant]
  }
}
