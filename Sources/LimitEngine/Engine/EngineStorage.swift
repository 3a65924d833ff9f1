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
  let change: RulesChange
  let rulesSourceWords: UnsafeMutablePointer<Word>
  private let tableCounters: UnsafeMutablePointer<TableCounters>
  /// What the rules in force allow: guests' places, then a table's shares each. This process's own.
  private let bounds: UnsafeMutablePointer<Word>
  /// This process's own too.
  let capCounters: CapCounters
  private let capWords: UnsafeMutablePointer<Word>
  private static let boundWords = 1 + Scope.allCases.count * Shares.boundWords

  init(_ region: consuming EngineRegion, _ configuration: Engine.Configuration) {
    let horizonWord = region.header.horizonWord
    let layout = region.layout
    let change = RulesChange(
      rulesWord: region.header.rulesWord, changedAtWord: region.header.rulesChangedAtWord)
    bounds = .allocate(capacity: Self.boundWords)
    for place in 0..<Self.boundWords { (bounds + place).initialize(to: Word(0)) }
    capWords = .allocate(capacity: CapCounters.wordCount)
    for place in 0..<CapCounters.wordCount { (capWords + place).initialize(to: Word(0)) }
    capCounters = CapCounters(words: capWords)
    bounds.pointee.store(UInt64(configuration.tenantsMax), ordering: .relaxed)
    let directory = TenantDirectory(
      words: region.directoryWords, places: layout.directoryPlaces,
      guestPlaces: region.counters + RegionLayout.guestPlacesWord, guestPlacesMax: bounds,
      keysPerTenantMax: configuration.keysPerTenantMax)
    tableCounters = .allocate(capacity: Scope.allCases.count)
    tables = .allocate(capacity: Scope.allCases.count)
    for scope in Scope.allCases {
      let place = Int(scope.rawValue)
      let words = region.counters + place * RegionLayout.wordsPerTable
      let shares = Shares(used: words + 2, bounds: bounds + 1 + place * Shares.boundWords)
      shares.set(Shares.Bounds())
      (tableCounters + place).initialize(
        to: TableCounters(
          shards: Shards(words: words + 16, bucketCount: layout.buckets(of: scope)), scope: scope,
          shares: scope == .global ? nil : shares, directory: scope == .global ? nil : directory,
          hand: words, rest: words + 1, horizon: horizonWord,
          change: change))
      (tables + place).initialize(
        to: BucketTable(
          words: region.tableWords(scope), bucketCount: layout.buckets(of: scope),
          counters: tableCounters + place))
    }
    self.horizonWord = horizonWord
    self.change = change
    rulesSourceWords = region.header.rulesSourceWords
    self.directory = directory
    registry = region.registry
    self.region = region
  }

  deinit {
    tables.deallocate()
    tableCounters.deallocate()
    bounds.deallocate()
    capWords.deallocate()
  }

  var horizon: UInt64 { @inline(__always) get { horizonWord.pointee.load(ordering: .relaxed) } }

  func moveHorizon(toAfter now: Instant) {
    _ = horizonWord.pointee.max(Horizon(after: now).rawValue, ordering: .relaxed)
  }
}
