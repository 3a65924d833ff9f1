// Buckets in and out: what a snapshot writes, what is read back, what a region of another size had.
//
// A record names its limit and tenant by what no reload and no other region changes.

import Synchronization

/// One bucket, with all that is needed to put it into another region of the same installation.
///
/// Permits are not among them: they belong to connections, which end with the process.
public struct BucketRecord: Hashable, Sendable, BitwiseCopyable {
  /// Raised with every change of what a record means: how tags, fingerprints and limits' identities are
  /// made, and what state words say. Where a region keeps records is no part of it, so that a release which
  /// lays regions out differently still reads the snapshots of the one before.
  public static let version: UInt64 = 4

  public var scope: Scope
  /// Whether it is counted among those of tenants that are not named.
  public var isGuest: Bool
  /// 63 bits: which bucket it is, and where it may stand.
  public var tag: UInt64
  /// `PolicySet.identity(of:)` of its limit; 0 where that is not known.
  public var limit: UInt64
  /// Its tenant; `nil` for everybody's, or where that is not known.
  public var tenant: Fingerprint?
  /// The two state words (`StateWord.swift`); `previous` is 0 but for windows that were rolled on.
  public var current: UInt64
  public var previous: UInt64

  public init(
    scope: Scope, isGuest: Bool, tag: UInt64, limit: UInt64, tenant: Fingerprint?, current: UInt64,
    previous: UInt64
  ) {
    self.scope = scope
    self.isGuest = isGuest
    self.tag = tag
    self.limit = limit
    self.tenant = tenant
    self.current = current
    self.previous = previous
  }

  /// Whether it is a sliding window's.
  public var isWindow: Bool { StateWord(rawValue: current).isWindow }
}

extension Engine {
  // MARK: Out

  /// How many groups of four slots the table of one scope has.
  public func groupCount(_ scope: Scope) -> Int { Int(table(scope.rawValue).pointee.bucketCount) }

  /// Calls `body` with each bucket in these groups that still matters at `now`. Each record is one
  /// that the bucket had at some moment of the call; different buckets' moments differ.
  ///
  /// O(groups); any thread, also while others decide; writes nothing, allocates nothing.
  public func forEachBucket(
    _ scope: Scope, inGroups groups: Range<Int>, at now: Instant, _ body: (BucketRecord) -> Void
  ) {
    let table = table(scope.rawValue).pointee
    let groups = UInt64(groups.lowerBound)..<UInt64(groups.upperBound)
    table.forEachUsedBucket(in: groups) { group in
      for lane in 0..<Slot.perBucket {
        let slot = table.slot(lane, inBucket: group)
        guard let image = slot.image(), !storages.isOver(image.current, at: now) else { continue }
        body(
          BucketRecord(
            scope: scope, isGuest: image.owner.isGuest, tag: image.tag,
            limit: registry.identity(of: image.owner.limit) ?? 0,
            tenant: directory.fingerprint(of: image.owner.tenant), current: image.current.rawValue,
            previous: image.previous.rawValue))
      }
    }
  }

  // MARK: In

  /// What became of a record.
  public enum Restoration: Sendable {
    case restored
    /// As if never used by now: nothing to restore.
    case dead
    /// Its places hold live buckets.
    case noRoom
    /// The table has the bucket already; it stays as it is.
    case exists
    /// Its words are none that a bucket can have.
    case damaged
  }

  /// Asks the processor to fetch where a bucket may stand, so that its `restore` does not wait.
  public func prefetch(_ record: BucketRecord) {
    table(record.scope.rawValue).pointee.prefetch(
      BucketID(tag: record.tag), withSecondLine: true)
  }

  /// How far buckets have been restored that come in the order of a table. Each thread has its own.
  public struct RestoreCursor: Sendable {
    fileprivate var group: UInt64 = 0
    public init() {}
  }

  /// Puts a bucket into its table, whatever the shares are. Any thread, but only before one decides, and
  /// after `setAside`, which says who is a guest. Expected O(1).
  ///
  /// - Parameter cursor: makes memory be gone through in order where records come as `forEachBucket`
  ///   gives them. In another order it costs a little and changes nothing else.
  public func restore(
    _ record: BucketRecord, at now: Instant, _ cursor: inout RestoreCursor
  ) -> Restoration {
    let current = StateWord(rawValue: record.current)
    let previous = StateWord(rawValue: record.previous)
    guard record.tag & ~Slot.mark == record.tag, record.tag != 0, current.isLive,
      !current.isConcurrency, previous == .empty || (previous.isWindow && current.isWindow)
    else { return .damaged }
    if storages.isOver(current, at: now) { return .dead }
    let limit = record.limit == 0 ? .none : registry.number(ofIdentity: record.limit)
    let table = table(record.scope.rawValue).pointee
    let isGuest = record.tenant.map { !directory.isNamed($0) } ?? record.isGuest
    let owner = table.reserveInAnyCase(record.tenant, isGuest: isGuest, limit: limit)
    let id = BucketID(tag: record.tag)
    let inserted = table.insert(
      id, owner: owner, charged: current, now: now,
      home: table.home(of: id, soonAfter: cursor.group),
      fresh: { _ in current })
    switch inserted {
    case .inserted(let slot):
      cursor.group = table.bucket(of: slot)
      // Nobody decides yet. A bucket that was never rolled keeps the floor there.
      if previous != .empty { slot.previous.pointee.store(previous.rawValue, ordering: .releasing) }
      return .restored
    case .exists: return .exists
    case .noRoom: return .noRoom
    }
  }

  /// Takes over every bucket of a region of other sizes, which is given back. Only before any thread
  /// decides, and after `setAside`. O(slots of both).
  ///
  /// - Parameter now: the engine's clock, which is the one that the region was used with.
  /// - Returns: what was found there, and how many buckets found no room here.
  /// - Throws: `RegionError.clockWentBack`; nothing is copied then.
  public func copyBuckets(from region: consuming EngineRegion, at now: Instant)
    throws(RegionError) -> (found: Recovery, dropped: Int)
  {
    let old = try Engine(region, Configuration(), recoveringAt: now)
    setRules(old.rules)
    var dropped = 0
    for scope in Scope.allCases {
      var cursor = RestoreCursor()
      old.forEachBucket(scope, inGroups: 0..<old.groupCount(scope), at: now) { record in
        if case .restored = restore(record, at: now, &cursor) { return }
        dropped += 1
      }
    }
    return (old.recovery ?? Recovery(), dropped)
  }
}

extension PolicySet {
  /// What stands for a limit in records: made from its name and algorithm under the installation's
  /// secret, hence the same in every set that has it. Never 0.
  public func identity(of limit: LimitIndex) -> UInt64 {
    LimitRegistry.identity(rule(for: limit, ofRow: 0).pointee.seed)
  }
}

extension Slot {
  /// The words of a live slot as they were together at one moment.
  struct Image {
    let tag: UInt64
    let owner: Owner
    let current: StateWord
    /// Empty but for windows that were rolled on.
    let previous: StateWord
  }

  /// Reads a slot while others write; `nil` where it holds no bucket with a state to keep.
  ///
  /// At most eight turns, each of which means that the slot changed hands or its window rolled
  /// meanwhile; what does so eight times within a microsecond is passed over. Charges do not count:
  /// a charge of a token bucket, or within one window, leaves the slot's other words alone.
  func image() -> Image? {
    for _ in 0..<8 {
      // Acquire: as in `BucketTable.find`; compared with itself below.
      let tag = self.tag.pointee.load(ordering: .acquiring) & ~Slot.mark
      let current = loadCurrent()
      guard current.isLive, !current.isConcurrency else { return nil }
      // Relaxed, between the acquires of `current` and of `previous`: `owner` and `tag` change only
      // while the slot is claimed, for a bucket whose words are others (StateWord explains why).
      let owner = loadOwner()
      let previous = StateWord(rawValue: previous.pointee.load(ordering: .acquiring))
      let again = loadCurrent()
      // Of other rules, `previous` may be either's.
      guard again.isLive, again.head == current.head,
        !again.isWindow || again.tick == current.tick,
        self.tag.pointee.load(ordering: .relaxed) & ~Slot.mark == tag
      else { continue }
      return Image(
        tag: tag, owner: owner, current: again, previous: previous.isWindow ? previous : .empty)
    }
    return nil
  }
}
