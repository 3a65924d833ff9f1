// Samples of decisions on their way from one worker to whoever monitors: a ring of fixed size that one
// thread writes and one reads, without a lock. A full ring loses what comes, and counts it.
//
//     word 0     written   by the worker: samples written so far
//     word 1     lost      by the worker: samples that found no room
//     word 8     read      by the reader: samples read so far
//     word 9     rounds    by the reader: how often it has looked
//     byte 128   slots of 384 bytes: a `DecisionSample`, then the tenant's name, then as much of the
//                key as fits
//
// The memory of slots is not touched before the first sample is written to it.

import Glibc
public import Synchronization

/// A worker's ring. It owns the memory.
public final class SampleRing: @unchecked Sendable {
  static let slots = 1024
  static let slotBytes = 384
  /// Bytes of both names together: a tenant's are never cut.
  static let namesBytes = slotBytes - MemoryLayout<DecisionSample>.size
  private static let headerBytes = 128

  /// What the worker writes with.
  package let writerEnd: SampleRingEnd
  private let byteCount: Int

  package init() {
    precondition(Self.namesBytes > 255, "a tenant's name fits")
    let bytes = (Self.headerBytes + Self.slots * Self.slotBytes + 4095) & ~4095
    let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { fatalError("no memory for the samples") }
    byteCount = bytes
    writerEnd = SampleRingEnd(
      words: memory.bindMemory(to: Atomic<UInt64>.self, capacity: 16),
      slots: memory + Self.headerBytes)
  }

  deinit { munmap(writerEnd.words, byteCount) }

  /// Samples that found no room, so far.
  package var lostCount: UInt64 { writerEnd.words[1].load(ordering: .relaxed) }

  /// Takes what is written, oldest first, and begins the next round. One thread at a time.
  ///
  /// - Parameter body: given a sample with the tenant's name and the key, which point into the ring.
  package func drain(
    _ body: (DecisionSample, _ tenant: UnsafeRawBufferPointer, _ key: UnsafeRawBufferPointer) ->
      Void
  ) {
    let end = writerEnd
    // Acquiring: pairs with the worker's releasing store, after which the slots are whole.
    let written = end.words[0].load(ordering: .acquiring)
    var read = end.words[8].load(ordering: .relaxed)
    while read != written {
      let slot = UnsafeRawPointer(end.slot(read))
      let sample = slot.load(as: DecisionSample.self)
      let names = UnsafeRawBufferPointer(
        start: slot + MemoryLayout<DecisionSample>.size, count: Self.namesBytes)
      let keyStart = Int(sample.tenantLength)
      body(
        sample, .init(rebasing: names[..<keyStart]),
        .init(rebasing: names[keyStart..<keyStart + Int(sample.keyLength)]))
      read &+= 1
      // Releasing: the slot is the worker's again, which acquires.
      end.words[8].store(read, ordering: .releasing)
    }
    // Relaxed: a worker that sees it late begins its round late.
    end.words[9].store(end.words[9].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }
}

/// The worker's end of a ring. Valid while the ring lives.
@frozen public struct SampleRingEnd: @unchecked Sendable, BitwiseCopyable {
  @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>
  fileprivate let slots: UnsafeMutableRawPointer

  fileprivate init(words: UnsafeMutablePointer<Atomic<UInt64>>, slots: UnsafeMutableRawPointer) {
    self.words = words
    self.slots = slots
  }

  /// How often the reader has looked. Relaxed: see there.
  @inlinable @inline(__always) var rounds: UInt64 { words[9].load(ordering: .relaxed) }

  fileprivate func slot(_ number: UInt64) -> UnsafeMutableRawPointer {
    slots + Int(number % UInt64(SampleRing.slots)) * SampleRing.slotBytes
  }

  /// Writes a sample, or counts it as lost. Only the worker's thread.
  ///
  /// - Parameters:
  ///   - tenant: 1 to 255 bytes.
  ///   - key: cut to the room that is left.
  func write(
    _ given: DecisionSample, tenant: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer
  ) {
    let written = words[0].load(ordering: .relaxed)
    // Acquiring: pairs with the reader's releasing store: it is done with the slot.
    guard written &- words[8].load(ordering: .acquiring) < UInt64(SampleRing.slots) else {
      words[1].store(words[1].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
      return
    }
    let slot = slot(written)
    var sample = given
    let tenantLength = min(tenant.count, 255)
    let keyLength = min(key.count, SampleRing.namesBytes - tenantLength)
    sample.tenantLength = UInt8(tenantLength)
    sample.keyLength = UInt16(keyLength)
    slot.storeBytes(of: sample, as: DecisionSample.self)
    let names = slot + MemoryLayout<DecisionSample>.size
    if let start = tenant.baseAddress { names.copyMemory(from: start, byteCount: tenantLength) }
    if let start = key.baseAddress {
      (names + tenantLength).copyMemory(from: start, byteCount: keyLength)
    }
    // Releasing: the slot is whole for the reader, which acquires.
    words[0].store(written &+ 1, ordering: .releasing)
  }
}
