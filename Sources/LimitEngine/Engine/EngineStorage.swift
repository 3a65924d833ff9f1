// The parts of an engine's region as the engine uses them, and what points to them.

import Synchronization

/// The three tables, their counters, the registry and the tenant directory of one region.
struct EngineStorage: ~Copyable, @unchecked Sendable {
  /// One per scope, by `Scope.rawValue`.
  let tables: UnsafeMutablePointer<BucketTable>
  let directory: TenantDirectory
  let registry: LimitRegistry
  let region: EngineRegion
  /// Whether the engine may decide. See `RegionHeader` for the legal values; 0 in a region of our
  /// own that nobody has decided in. Relaxed: a sweep that relies on it reads it after a state word
  /// (`Sweep.isOver`).
  let horizonWord: UnsafeMutablePointer<Word>
  let rulesGenerationWord: UnsafeMutablePointer<Word>
  let rulesChangedAtWord: UnsafeMutablePointer<Word>
  private let tableCounters: UnsafeMutablePointer<TableCounters>

  init(_ region: consuming EngineRegion, keysPerTenantMax: Int) {
    let horizonWord = region.header.horizonWord
    let layout = region.layout
    let directory = TenantDirectory(
      words: region.directoryWords, capacity: layout.directoryPlaces,
      keysPerTenantMax: keysPerTenantMax)
    tableCounters = .allocate(capacity: Scope.allCases.count)
    tables = .allocate(capacity: Scope.allCases.count)
    for scope in Scope.allCases {
      let place = Int(scope.rawValue)
      let words = region.counters + place * (16 + Shards.wordCount)
      (tableCounters + place).initialize(
        to: TableCounters(
          shards: Shards(words: words + 16, bucketCount: layout.buckets(of: scope)),
          directory: scope == .key ? directory : nil, hand: words, horizon: horizonWord))
      (tables + place).initialize(
        to: BucketTable(
          words: region.tableWords(scope), bucketCount: layout.buckets(of: scope),
          counters: tableCounters + place))
    }
    self.horizonWord = horizonWord
    rulesGenerationWord = region.header.rulesGenerationWord
    rulesChangedAtWord = region.header.rulesChangedAtWord
    self.directory = directory
    registry = region.registry
    self.region = region
  }

  deinit {
    tables.deallocate()
    tableCounters.deallocate()
  }

  var horizon: UInt64 { @inline(__always) get { horizonWord.pointee.load(ordering: .relaxed) } }

  func moveHorizon(toAfter now: Instant) {
    _ = horizonWord.pointee.max(Horizon(after: now).rawValue, ordering: .relaxed)
  }
}
