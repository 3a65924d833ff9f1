// The engine: three bucket tables, and the decisions made on them.
//
// One table per scope. The table of key buckets is open to whatever keys clients send, so a tenant
// may fill only its part of it; tenant buckets are as many as tenants and limits, and global ones
// as many as limits. A bucket that finds no room is charged one scope wider: a key's against its
// tenant's bucket of that limit, a tenant's against everybody's. So no stream of keys grows memory,
// forgives a live bucket, or reaches into another tenant's decisions.
//
// Lock-free: any number of threads may call everything here at once. No clock, no I/O.

import Synchronization

/// Decides queries against the limits of a policy set, and keeps the buckets.
///
/// The policy set is an argument: buckets are found by tenant, limit name and key, so a changed set
/// goes on with the state of the one before. `now` is an argument too: read the clock once per
/// batch. Readings of different threads may be out of order; a bucket never goes back in time.
public final class Engine: Sendable {
  /// How large the tables are. Memory is 32 bytes per slot, allocated at start.
  public struct Configuration: Sendable {
    /// Slots for buckets of scope `key`: plan for 1.25 times the live keys.
    public var keySlots = 1 << 20
    /// Slots for buckets of scope `tenant`, and for the tenants' overflow: plan for 1.25 times
    /// the tenants times the limits that they meet.
    public var tenantSlots = 1 << 17
    /// How many tenants may have key buckets; 16 bytes each.
    public var tenantsMax = 1 << 16
    /// How many key buckets one tenant may have live; more are charged to the tenant's own
    /// overflow bucket. A quarter of the table unless set.
    public var keysPerTenantMax: Int { keysPerTenantLimit ?? max(1, keySlots / 4) }
    /// See `keysPerTenantMax`.
    public var keysPerTenantLimit: Int?

    public init() {}
  }

  /// Twice the buckets that a policy set can have: never full.
  private static let globalSlots = 4 * PolicySetBuilder.limitsMax

  private let storages: EngineStorage

  /// - Parameter keyStorage: memory for the key buckets in place of the engine's own, such as
  ///   huge pages; its size then stands for `keySlots`.
  public convenience init(_ configuration: Configuration = Configuration()) {
    self.init(configuration, keyStorage: SlotStorage(slots: configuration.keySlots))
  }

  /// As above, with the key buckets in memory that the caller made, such as huge pages: zeroed,
  /// aligned to 128 bytes, in place of `keySlots`. `release` gets it back at the end.
  public convenience init(
    _ configuration: Configuration, keyMemory: UnsafeMutableRawBufferPointer,
    release: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void
  ) {
    self.init(configuration, keyStorage: SlotStorage(adopting: keyMemory, release: release))
  }

  private init(_ configuration: Configuration, keyStorage: consuming SlotStorage) {
    storages = EngineStorage(
      keys: keyStorage, tenants: SlotStorage(slots: configuration.tenantSlots),
      globals: SlotStorage(slots: Self.globalSlots), tenantsMax: configuration.tenantsMax,
      keysPerTenantMax: configuration.keysPerTenantMax)
  }

  /// The table that holds the buckets of the scope with this raw value.
  @inline(__always)
  func table(_ scope: UInt8) -> UnsafeMutablePointer<BucketTable> {
    storages.tables + Int(scope)
  }

  @inline(__always)
  var directory: TenantDirectory { storages.directory }

  // MARK: Upkeep

  /// Frees the slots of buckets that are as if never used. Decisions do not need it: it makes the
  /// counts true, and gives a tenant at its cap room again. Call it every few seconds.
  ///
  /// O(slots), about 5 ms per million; any thread.
  /// - Returns: how many slots were freed.
  @discardableResult
  public func sweep(at now: Instant) -> Int {
    if isPastHorizon(now) { passHorizon(to: now) }
    let freed = sweepTables(at: now)
    storages.moveHorizon(toAfter: now)
    return freed
  }

  private func sweepTables(at now: Instant) -> Int {
    Scope.allCases.reduce(0) { $0 + table($1.rawValue).pointee.sweep(at: now) }
  }

  /// Whether `now` lies so long after the last sweep that ticks, which count modulo 208 days,
  /// could be misread.
  @inline(__always)
  func isPastHorizon(_ now: Instant) -> Bool { now.nanoseconds >= storages.horizon }

  /// Sweeps at steps short enough for every tick to be read rightly, until `now` is near. After
  /// three steps nothing but held permits can be left, so that the rest may be skipped. Happens
  /// where nobody called `sweep` for 52 days, such as on a machine that slept.
  @inline(never)
  func passHorizon(to now: Instant) {
    var steps = 0
    while isPastHorizon(now) {
      if steps == 3 {
        storages.moveHorizon(toAfter: now)
      } else {
        let step = Instant(nanoseconds: storages.horizon)
        _ = sweepTables(at: step)
        storages.moveHorizon(toAfter: step)
      }
      steps += 1
    }
  }

  /// Slots and live buckets of one table. `live` counts buckets that no sweep has freed yet.
  public struct Occupancy: Hashable, Sendable {
    public var slots: Int
    public var live: Int
  }

  public func occupancy(_ scope: Scope) -> Occupancy {
    let table = table(scope.rawValue).pointee
    return Occupancy(slots: table.slotCount, live: table.shards.liveCount)
  }

  /// Bytes that the counters of one table take besides its slots.
  public static var countersBytes: Int { Shards.wordCount * 8 }

  /// How many key buckets the tenant has live.
  public func liveKeys(of tenant: Tenant) -> Int {
    directory.liveCount(of: directory.number(of: tenant.fingerprint))
  }
}
