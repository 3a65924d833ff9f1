// What a worker hands to whoever monitors: some of its decisions, chosen so that it costs the rest a few
// instructions each. One thread uses a writer.
//
// Decisions that admit, and those that deny, are sampled each for themselves. Besides, what a monitor
// would miss is handed over for its own sake, per round (some 100 ms): the first denials of each tenant,
// and its first decision past a soft threshold. Tenants share counters of that by their fingerprint;
// tenants that no rule names have counters of their own, and a bound on all of them together, so that no
// stream of invented names hides a named tenant's denials.

import Glibc
public import LimitEngine

/// A worker's choice of samples. It owns the counters.
@frozen public struct SampleWriter: ~Copyable {
  /// Counters of named tenants, and as many of the others.
  @usableFromInline static var groups: Int { 128 }
  /// Denials of a group that are handed over per round, whatever the sampling says.
  private static let denialsPerGroup: UInt8 = 8
  /// The same of all tenants together that are not named.
  private static let denialsOfGuests = 128

  @usableFromInline let ring: SampleRingEnd
  private let memory: SampleRing
  /// What each group may still hand over: of denials, then of soft thresholds.
  @usableFromInline let rooms: UnsafeMutablePointer<UInt8>
  @usableFromInline var admitted: SkipSampler
  @usableFromInline var denied: SkipSampler
  /// The reader's round that the counters are of.
  @usableFromInline var round: UInt64
  private var guestRoom = 0
  private var random: UInt64

  package init(_ ring: SampleRing) {
    memory = ring
    self.ring = ring.writerEnd
    rooms = .allocate(capacity: 4 * Self.groups)
    round = ring.writerEnd.rounds
    random = .random(in: 1...(.max))
    admitted = SkipSampler()
    denied = SkipSampler()
    renew()
  }

  deinit { rooms.deallocate() }

  /// Call it before a group of decisions: begins another round, where the reader has.
  ///
  /// - Returns: whether it did.
  @discardableResult @inlinable @inline(__always) public mutating func beginGroup() -> Bool {
    guard ring.rounds != round else { return false }
    renew()
    return true
  }

  @inline(never) @usableFromInline mutating func renew() {
    round = ring.rounds
    rooms.update(repeating: Self.denialsPerGroup, count: 2 * Self.groups)
    (rooms + 2 * Self.groups).update(repeating: 1, count: 2 * Self.groups)
    guestRoom = Self.denialsOfGuests
    admitted = SkipSampler()
    denied = SkipSampler()
  }

  /// Where a tenant's group has its counter.
  @inlinable @inline(__always) static func group(of tenant: Tenant) -> Int {
    Int(truncatingIfNeeded: tenant.fingerprint.high) & (groups - 1) | (tenant.isNamed ? 0 : groups)
  }

  /// Counts decisions of which none is wanted for its own sake, if no sample is among them; else each is
  /// to be counted by `isWanted`.
  @inlinable @inline(__always) public mutating func passOver(admitted: Int, denied: Int) -> Bool {
    guard self.admitted.left > admitted, self.denied.left > denied else { return false }
    self.admitted.left &-= UInt32(truncatingIfNeeded: admitted)
    self.denied.left &-= UInt32(truncatingIfNeeded: denied)
    return true
  }

  /// Whether a denial of this tenant's is wanted whatever the sampling says.
  @inlinable @inline(__always) public func hasRoom(forDenialOf tenant: Tenant) -> Bool {
    rooms[SampleWriter.group(of: tenant)] > 0
  }

  /// Counts a decision; whether `hand` is to be told of it.
  @inlinable @inline(__always) public mutating func isWanted(
    _ outcome: Decision.Outcome, _ flags: Decision.Flags, of tenant: Tenant
  ) -> Bool {
    if outcome == .allow {
      if admitted.isDue() { return true }
      return flags.isEmpty ? false : isWanted(flags, of: tenant)
    }
    return denied.isDue() || hasRoom(forDenialOf: tenant)
  }

  @inline(never) @usableFromInline func isWanted(
    _ flags: Decision.Flags, of tenant: Tenant
  ) -> Bool {
    flags.contains(.softThreshold) && rooms[2 * Self.groups + Self.group(of: tenant)] > 0
  }

  /// Hands over a decision that is wanted.
  ///
  /// - Parameter sample: its weight and lengths are filled in here.
  public mutating func hand(
    _ sample: DecisionSample, tenant: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer
  ) {
    var sample = sample
    let isDenial = sample.outcome != .allow
    if isDenial, denied.left == 0 { sample.weight = denied.take(random: next()) }
    if !isDenial, admitted.left == 0 { sample.weight = admitted.take(random: next()) }
    let group = Self.group(of: sample.tenant)
    if isDenial {
      if rooms[group] > 0 { takeRoom(group, isNamed: sample.tenant.isNamed) }
    } else if sample.flags.contains(.softThreshold) {
      rooms[2 * Self.groups + group] = 0
    }
    ring.write(sample, tenant: tenant, key: key)
  }

  private mutating func takeRoom(_ group: Int, isNamed: Bool) {
    rooms[group] -= 1
    guard !isNamed else { return }
    guestRoom -= 1
    if guestRoom == 0 { (rooms + Self.groups).update(repeating: 0, count: Self.groups) }
  }

  /// xorshift64 (Marsaglia, 2003): good enough to skip by.
  private mutating func next() -> UInt64 {
    random ^= random << 13
    random ^= random >> 7
    random ^= random << 17
    return random
  }
}
