// Everything that the engine allocates, made at start and freed at the end.

import Synchronization

/// The memory of the three tables, their counters and the tenant directory.
struct EngineStorage: ~Copyable, @unchecked Sendable {
  /// One per scope, by `Scope.rawValue`.
  let tables: UnsafeMutablePointer<BucketTable>
  let directory: TenantDirectory
  /// The instant, in ns, from which ticks could be misread unless the tables are swept first.
  ///
  /// Legal values: 52 days after some sweep; only grows. Written by whoever sweeps, after it has
  /// swept; publishes nothing. Relaxed: the 52 days are half of what ticks can compare, so it
  /// does not matter when another thread sees the new value.
  private let horizonWord: UnsafeMutablePointer<Word>

  private let keys: SlotStorage
  private let tenants: SlotStorage
  private let globals: SlotStorage
  private let tableCounters: UnsafeMutablePointer<TableCounters>
  private let allocation: UnsafeMutableRawPointer

  init(
    keys: consuming SlotStorage, tenants: consuming SlotStorage, globals: consuming SlotStorage,
    tenantsMax: Int, keysPerTenantMax: Int
  ) {
    let shardWords = Shards.wordCount
    // The horizon, on a line of its own, then the counters.
    let horizonWords = 16
    let wordCount = horizonWords + 3 * shardWords + 2 * tenantsMax
    let memory = UnsafeMutableRawPointer.allocate(byteCount: wordCount * 8, alignment: 128)
    memory.initializeMemory(as: UInt64.self, repeating: 0, count: wordCount)
    allocation = memory
    horizonWord = memory.assumingMemoryBound(to: Word.self)
    horizonWord.pointee.store(Self.horizonDistance, ordering: .relaxed)
    let counters = horizonWord + horizonWords
    directory = TenantDirectory(
      words: counters + 3 * shardWords, capacity: tenantsMax, keysPerTenantMax: keysPerTenantMax)

    func shards(_ scope: Scope, _ bucketCount: Int) -> Shards {
      Shards(words: counters + Int(scope.rawValue) * shardWords, bucketCount: bucketCount)
    }
    tableCounters = .allocate(capacity: 3)
    tableCounters.initialize(
      to: TableCounters(shards: shards(.key, keys.bucketCount), directory: directory))
    (tableCounters + 1).initialize(
      to: TableCounters(shards: shards(.tenant, tenants.bucketCount), directory: nil))
    (tableCounters + 2).initialize(
      to: TableCounters(shards: shards(.global, globals.bucketCount), directory: nil))
    tables = .allocate(capacity: 3)
    tables.initialize(to: BucketTable(keys, counters: tableCounters))
    (tables + 1).initialize(to: BucketTable(tenants, counters: tableCounters + 1))
    (tables + 2).initialize(to: BucketTable(globals, counters: tableCounters + 2))
    self.keys = keys
    self.tenants = tenants
    self.globals = globals
  }

  deinit {
    tables.deallocate()
    tableCounters.deallocate()
    allocation.deallocate()
  }

  /// 52 days, in ns: a quarter of the 2^54 ns after which ticks repeat.
  private static let horizonDistance: UInt64 = 1 << 52

  var horizon: UInt64 {
    @inline(__always) get { horizonWord.pointee.load(ordering: .relaxed) }
  }

  func moveHorizon(toAfter now: Instant) {
    _ = horizonWord.pointee.max(now.nanoseconds + Self.horizonDistance, ordering: .relaxed)
  }
}
