// Everything that the engine allocates, made at start and freed at the end.

import Synchronization

/// The memory of the three tables, their counters and the tenant directory.
struct EngineStorage: ~Copyable, @unchecked Sendable {
  /// One per scope, by `Scope.rawValue`.
  let tables: UnsafeMutablePointer<BucketTable>
  let directory: TenantDirectory
  /// The instant, in ns, from which ticks could be misread unless the tables are swept first.
  ///
  /// Legal values: 26 days after some sweep; only grows. Written by whoever sweeps, after it has
  /// swept; publishes nothing. Relaxed: there are days to spare, so it does not matter when
  /// another thread sees the new value.
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
    // A pair of cache lines for the horizon and one for the tables' sweeping hands, then counters.
    let pair = 16
    let wordCount = 2 * pair + 3 * shardWords + 2 * tenantsMax
    let memory = UnsafeMutableRawPointer.allocate(byteCount: wordCount * 8, alignment: 128)
    memory.initializeMemory(as: UInt64.self, repeating: 0, count: wordCount)
    allocation = memory
    horizonWord = memory.assumingMemoryBound(to: Word.self)
    horizonWord.pointee.store(Self.horizonDistance, ordering: .relaxed)
    let hands = horizonWord + pair
    let counters = hands + pair
    let directory = TenantDirectory(
      words: counters + 3 * shardWords, capacity: tenantsMax, keysPerTenantMax: keysPerTenantMax)
    self.directory = directory

    func tableCounter(_ scope: Scope, _ bucketCount: Int, _ directory: TenantDirectory?)
      -> TableCounters
    {
      let place = Int(scope.rawValue)
      return TableCounters(
        shards: Shards(words: counters + place * shardWords, bucketCount: bucketCount),
        directory: directory, hand: hands + place)
    }
    tableCounters = .allocate(capacity: 3)
    tableCounters.initialize(to: tableCounter(.key, keys.bucketCount, directory))
    (tableCounters + 1).initialize(to: tableCounter(.tenant, tenants.bucketCount, nil))
    (tableCounters + 2).initialize(to: tableCounter(.global, globals.bucketCount, nil))
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

  /// 26 days, in ns. With the 62 days that a window's expiry may lie ahead, and the age that a
  /// word may have by then, that is within the 104 days that ticks can compare.
  private static let horizonDistance: UInt64 = 1 << 51

  var horizon: UInt64 { @inline(__always) get { horizonWord.pointee.load(ordering: .relaxed) } }

  func moveHorizon(toAfter now: Instant) {
    _ = horizonWord.pointee.max(now.nanoseconds + Self.horizonDistance, ordering: .relaxed)
  }
}
