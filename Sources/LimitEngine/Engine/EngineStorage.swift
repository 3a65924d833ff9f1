// Everything that the engine allocates, made at start and freed at the end.

/// The memory of the three tables, their counters and the tenant directory.
struct EngineStorage: ~Copyable, @unchecked Sendable {
  /// One per scope, by `Scope.rawValue`.
  let tables: UnsafeMutablePointer<BucketTable>
  let directory: TenantDirectory

  private let keys: SlotStorage
  private let tenants: SlotStorage
  private let globals: SlotStorage
  private let counters: UnsafeMutablePointer<Word>

  init(
    keys: consuming SlotStorage, tenants: consuming SlotStorage, globals: consuming SlotStorage,
    tenantsMax: Int, keysPerTenantMax: Int
  ) {
    let shardWords = Shards.wordCount
    let wordCount = 3 * shardWords + 2 * tenantsMax
    let memory = UnsafeMutableRawPointer.allocate(byteCount: wordCount * 8, alignment: 128)
    memory.initializeMemory(as: UInt64.self, repeating: 0, count: wordCount)
    counters = memory.assumingMemoryBound(to: Word.self)
    directory = TenantDirectory(
      words: counters + 3 * shardWords, capacity: tenantsMax, keysPerTenantMax: keysPerTenantMax)

    tables = .allocate(capacity: 3)
    (tables + Int(Scope.key.rawValue)).initialize(
      to: BucketTable(
        keys, shards: Shards(words: counters, bucketCount: keys.bucketCount),
        directory: directory))
    (tables + Int(Scope.tenant.rawValue)).initialize(
      to: BucketTable(
        tenants,
        shards: Shards(words: counters + shardWords, bucketCount: tenants.bucketCount),
        directory: nil))
    (tables + Int(Scope.global.rawValue)).initialize(
      to: BucketTable(
        globals,
        shards: Shards(words: counters + 2 * shardWords, bucketCount: globals.bucketCount),
        directory: nil))
    self.keys = keys
    self.tenants = tenants
    self.globals = globals
  }

  deinit {
    tables.deallocate()
    UnsafeMutableRawPointer(counters).deallocate()
  }
}
