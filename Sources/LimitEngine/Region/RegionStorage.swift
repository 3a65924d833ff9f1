// The memory of a region: made by us or by the caller, checked before anything in it is used.
//
// A region may lie in a mapping that is shared with nobody but a later process (MAP_SHARED): every
// word in it is atomic, none is a pointer, and every change that matters is one word.

import Synchronization

/// A block of memory that holds all of an engine's state: fresh, or left by an engine before.
///
/// `layout.byteCount` bytes, about 32 per slot. Owned by one engine at a time: who hands in a
/// mapping sees to it that no other process uses it.
public struct EngineRegion: ~Copyable, @unchecked Sendable {
  public let layout: RegionLayout
  /// Whether nobody has used it yet.
  public let isFresh: Bool

  private let memory: UnsafeMutableRawBufferPointer
  private let release: @Sendable (UnsafeMutableRawBufferPointer) -> Void

  private init(
    _ layout: RegionLayout, isFresh: Bool, _ memory: UnsafeMutableRawBufferPointer,
    release: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void
  ) {
    self.layout = layout
    self.isFresh = isFresh
    self.memory = memory
    self.release = release
  }

  deinit { release(memory) }

  /// Makes a region of memory that is all zero.
  ///
  /// - Parameters:
  ///   - memory: `RegionLayout(configuration).byteCount` bytes or more, faulted in by whoever wants
  ///     no decision to wait for a page.
  ///   - hashKey: the installation's secret: only under the same one is the region adopted later.
  ///   - now: the engine's clock.
  ///   - release: gets `memory` back at the end.
  /// - Precondition: large enough; aligned to 128 bytes.
  public init(
    formatting memory: UnsafeMutableRawBufferPointer, for configuration: Engine.Configuration,
    hashKey: HashKey, at now: Instant,
    release: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void
  ) {
    let layout = RegionLayout(configuration)
    precondition(memory.count >= layout.byteCount, "a region of \(layout.byteCount) bytes")
    Self.checkAlignment(memory)
    let header = RegionHeader(words: Self.words(memory, 0))
    header.horizonWord.pointee.store(Horizon(after: now).rawValue, ordering: .relaxed)
    header.format(layout, hashKey: hashKey)
    self.init(layout, isFresh: true, memory, release: release)
  }

  /// Takes memory that an engine has left, whether it ended in order or was killed. The engine that
  /// gets it recovers what it needs; a region of other sizes can be copied from
  /// (`Engine.copyBuckets`).
  ///
  /// Reads the header and nothing else, and writes nothing. O(1).
  ///
  /// - Precondition: aligned to 128 bytes; no other engine uses it.
  /// - Throws: `truncated`, `notARegion`, `otherVersion`, `otherHashKey` or `damaged`; `memory` then
  ///   stays with the caller, and `release` is not called.
  public init(
    adopting memory: UnsafeMutableRawBufferPointer, hashKey: HashKey,
    release: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void
  ) throws(RegionError) {
    guard memory.count >= RegionLayout.pageBytes else {
      throw .truncated(needed: RegionLayout.pageBytes)
    }
    Self.checkAlignment(memory)
    let layout = try RegionHeader(words: Self.words(memory, 0))
      .layout(hashKey: hashKey, byteCount: memory.count)
    self.init(layout, isFresh: false, memory, release: release)
  }

  /// A region in memory of its own, for an engine that ends with the process. Its horizon is set by
  /// the first decision.
  init(for configuration: Engine.Configuration) {
    let layout = RegionLayout(configuration)
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: layout.byteCount, alignment: RegionLayout.pageBytes)
    // Faulted in by being zeroed here: a decision never waits for the kernel to find a page.
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    RegionHeader(words: Self.words(memory, 0)).format(layout, hashKey: HashKey(low: 0, high: 0))
    self.init(layout, isFresh: true, memory) { $0.deallocate() }
  }

  private static func checkAlignment(_ memory: UnsafeMutableRawBufferPointer) {
    precondition(UInt(bitPattern: memory.baseAddress) % 128 == 0, "aligned to 128 bytes")
  }

  private static func words(_ memory: UnsafeMutableRawBufferPointer, _ offset: Int)
    -> UnsafeMutablePointer<Word>
  {
    // Atomic<UInt64> has the layout of UInt64 (asserted by a test), and all zeros is its zero.
    (memory.baseAddress! + offset).assumingMemoryBound(to: Word.self)
  }

  // MARK: The parts

  var header: RegionHeader { RegionHeader(words: Self.words(memory, 0)) }

  var counters: UnsafeMutablePointer<Word> { Self.words(memory, layout.countersOffset) }

  var registry: LimitRegistry {
    LimitRegistry(words: Self.words(memory, layout.registryOffset))
  }

  var directoryWords: UnsafeMutablePointer<Word> { Self.words(memory, layout.directoryOffset) }

  /// The buckets of the table of one scope.
  func tableWords(_ scope: Scope) -> UnsafeMutablePointer<Word> {
    Self.words(memory, layout.offset(of: scope))
  }

  /// A word of the header that the store may use as it likes; the engine keeps it and never reads
  /// it. 0 in a fresh region.
  ///
  /// - Parameter number: 0 ..< 8.
  public func storeWord(_ number: Int) -> UInt64 {
    header.storeWord(number).pointee.load(ordering: .acquiring)
  }

  /// Sets one of the store's words. A word is stored whole; several are not stored at once.
  public func setStoreWord(_ number: Int, to value: UInt64) {
    header.storeWord(number).pointee.store(value, ordering: .releasing)
  }
}
