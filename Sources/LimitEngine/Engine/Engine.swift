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
/// batch. Readings of different threads may be out of order: a bucket in the table never goes back
/// in time, and one that was already freed admits to a reading that is late by s at most what comes
/// back in s.
public final class Engine: Sendable {
  /// How large the tables are. Memory is 32 bytes per slot, taken at start.
  public struct Configuration: Sendable {
    /// Slots for buckets of scope `key`: plan for 1.25 times the live keys.
    public var keySlots = 1 << 20
    /// Slots for buckets of scope `tenant`, and for the tenants' overflow: plan for 1.25 times
    /// the tenants times the limits that they meet.
    public var tenantSlots = 1 << 17
    /// How many tenants may have key buckets; 32 bytes each.
    public var tenantsMax = 1 << 16
    /// How many key buckets one tenant may have live; more are charged to the tenant's own
    /// overflow bucket. A quarter of the table unless set.
    public var keysPerTenantMax: Int { keysPerTenantLimit ?? max(1, keySlots / 4) }
    /// See `keysPerTenantMax`.
    public var keysPerTenantLimit: Int?

    public init() {}
  }

  /// Twice the buckets that a policy set can have: never full.
  static let globalSlots = 4 * PolicySetBuilder.limitsMax

  /// What was found in a region that had been used before; `nil` in a fresh one.
  public let recovery: Recovery?

  let storages: EngineStorage

  /// An engine in memory of its own, which ends with it. The clock is what the first decision says.
  public convenience init(_ configuration: Configuration = Configuration()) {
    let region = EngineRegion(for: configuration)
    self.init(EngineStorage(region, keysPerTenantMax: configuration.keysPerTenantMax))
  }

  /// An engine in a region that outlives it. Where another has used the region, goes on with
  /// everything that it decided (`recover`).
  ///
  /// - Parameter now: the engine's clock, which is the one that the region was used with.
  /// - Precondition: the region has the sizes of `configuration`.
  /// - Throws: `RegionError.clockWentBack`; the region is given back unchanged.
  public convenience init(
    _ configuration: Configuration, in region: consuming EngineRegion, at now: Instant
  ) throws(RegionError) {
    precondition(
      region.layout == RegionLayout(configuration), "a region of other sizes is copied from")
    try self.init(
      region, keysPerTenantMax: configuration.keysPerTenantMax, recoveringAt: now)
  }

  /// As above, whatever the region's sizes are.
  convenience init(
    _ region: consuming EngineRegion, keysPerTenantMax: Int, recoveringAt now: Instant
  ) throws(RegionError) {
    let isFresh = region.isFresh
    let storages = EngineStorage(region, keysPerTenantMax: keysPerTenantMax)
    let recovery = isFresh ? nil : try storages.recover(at: now)
    self.init(storages, recovery: recovery)
  }

  private init(_ storages: consuming EngineStorage, recovery: Recovery? = nil) {
    self.storages = storages
    self.recovery = recovery
  }

  /// The table that holds the buckets of the scope with this raw value.
  @inline(__always) func table(_ scope: UInt8) -> UnsafeMutablePointer<BucketTable> {
    storages.tables + Int(scope)
  }

  @inline(__always) var directory: TenantDirectory { storages.directory }
  var registry: LimitRegistry { storages.registry }

  // MARK: Upkeep

  /// Frees the slots of buckets that are as if never used. Decisions do not need it: it makes the
  /// counts true, and gives a tenant at its cap room again. Call it every few seconds.
  ///
  /// O(slots), about 5 ms per million; any thread.
  /// - Returns: how many slots were freed.
  @discardableResult public func sweep(at now: Instant) -> Int {
    var freed = 0
    // Times of token buckets count modulo 73 years. So no sweep looks further than 18 ahead: eight
    // turns at most.
    while storages.horizon != 0, now.nanoseconds > storages.horizon + Self.stepMax {
      let step = Instant(nanoseconds: storages.horizon + Self.stepMax)
      guard sweepOnce(at: step, freed: &freed) else { return freed }
    }
    _ = sweepOnce(at: now, freed: &freed)
    return freed
  }

  /// 18 years, in ns: with the longest debt, less than the 36 that times can be compared over.
  private static let stepMax: UInt64 = 1 << 59

  /// Whether the sweep came to its end: otherwise another thread has swept at a much later reading.
  private func sweepOnce(at now: Instant, freed: inout Int) -> Bool {
    let horizon = storages.horizon
    let sweep = Sweep(at: now, horizon: horizon)
    if horizon != 0 {
      for scope in Scope.allCases {
        guard table(scope.rawValue).pointee.sweep(sweep, freed: &freed) else { return false }
      }
    }
    storages.moveHorizon(toAfter: now)
    return true
  }

  /// Whether `now` lies so long after the last sweep that ticks, which count modulo 208 days,
  /// could be misread.
  @inline(__always) func isPastHorizon(_ now: Instant) -> Bool {
    now.nanoseconds >= storages.horizon
  }

  /// Sweeps, so that every tick is read rightly at `now`. Happens where nobody called `sweep` for 26
  /// days, such as on a machine that slept.
  ///
  /// One turn, unless another thread meanwhile swept at a reading more than 26 days before `now`.
  @inline(never) func passHorizon(to now: Instant) {
    while isPastHorizon(now) { sweep(at: now) }
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

  /// Bytes of the region that an engine of these sizes needs.
  public static func byteCount(_ configuration: Configuration) -> Int {
    RegionLayout(configuration).byteCount
  }

  /// How many key buckets the tenant has live.
  public func liveKeys(of tenant: Tenant) -> Int { directory.liveCount(of: tenant.fingerprint) }
}
