// What the hot path reads of a policy: plain records in flat tables, no references.

/// One limit with the settings that some tenants have of it. As long as a cache line, so that its place
/// in a table is a shift.
struct Rule: BitwiseCopyable {
  /// Mixed into fingerprints, so that each limit keeps its buckets in places of its own. Made from
  /// the limit's name and algorithm, hence the same after a reload.
  var seed: Fingerprint
  /// Burst, limit or permits.
  var capacity: UInt64
  /// Token bucket: emission interval. Sliding window: window length. Nanoseconds; 1 for others.
  var divisor: FastDivisor
  /// The soft-threshold flag is set once this much or less remains.
  var softRemaining: UInt64
  var limit: LimitIndex
  /// What the words of its buckets begin with: see `StateWord`.
  var head: UInt8
  var algorithm: Algorithm
  var scope: Scope
  private var modes: RuleModes
  /// Whether `softRemaining` counts.
  var hasSoftThreshold: Bool
  /// Whether this is the rule as it was in the set before.
  var isFormer = false
  /// The same limit and tenants' rule in the other of the two: former, or in force. `nil` where there
  /// was no set before.
  var counterpart: UnsafePointer<Rule>?

  /// - Parameter parity: of the generation, 0 or 1.
  init(
    limit: LimitIndex, definition: LimitDefinition, settings: LimitSettings, seed: Fingerprint,
    parity: UInt8
  ) {
    self.seed = seed
    self.limit = limit
    algorithm = settings.parameters.algorithm
    head = StateWord.head(of: algorithm, parity: parity)
    scope = definition.scope
    modes = RuleModes(settings)
    capacity = settings.parameters.capacity
    divisor =
      switch settings.parameters {
      case .tokenBucket(let parameters): FastDivisor(parameters.emissionInterval.count)
      case .slidingWindow(let parameters): FastDivisor(parameters.window.count)
      case .concurrency: FastDivisor(1)
      }
    hasSoftThreshold = settings.softThreshold != nil
    softRemaining = capacity - min(settings.softThreshold ?? capacity, capacity)
  }
}

extension Rule {
  @inline(__always) var period: UInt64 { divisor.value }

  /// The mode that is in force.
  @inline(__always) var mode: LimitMode {
    get { modes.inForce }
    set { modes.inForce = newValue }
  }

  /// Puts a mode in force for everybody, or the one that was written where it is `nil`.
  mutating func use(_ mode: LimitMode?) { modes.use(mode) }
}

/// A limit's mode twice: as it is in force, and as it is where none is in force for everybody.
private struct RuleModes: BitwiseCopyable {
  /// Bit 0: shadow is in force. Bit 1: shadow is written. Bit 2: what is written counts in any case.
  private var bits: UInt8

  init(_ settings: LimitSettings) {
    bits = settings.mode.rawValue * 3 + (settings.isModeOwn ? 4 : 0)
  }

  @inline(__always) var inForce: LimitMode {
    get { bits & 1 == 0 ? .enforce : .shadow }
    set { bits = bits & ~1 | newValue.rawValue }
  }

  mutating func use(_ mode: LimitMode?) {
    let written: LimitMode = bits & 2 == 0 ? .enforce : .shadow
    inForce = bits & 4 == 0 ? mode ?? written : written
  }
}

/// One limit's place in a policy.
struct PolicyEntry: BitwiseCopyable {
  var limit: LimitIndex
  /// Whether a query counts as one here whatever its cost: a limit on requests in a policy whose
  /// cost is in another unit.
  var countsQueries: Bool

  /// What a query of `cost` takes from this limit.
  @inline(__always) func charge(for cost: UInt64) -> UInt64 { countsQueries ? min(cost, 1) : cost }
}

/// A policy's entries: `entries[start ..< start + count]`.
struct PolicyRange: BitwiseCopyable {
  var start: UInt32
  var count: UInt32
  /// Stands for the names, algorithms, scopes and units of its limits, in order.
  var tag: UInt32
  /// Stands for the same and is never shown: part of what receipts are marked with.
  var secret: Fingerprint
}

/// A tenant as a policy set knows it: found once per connection or query, then passed by value.
public struct Tenant: Hashable, Sendable, BitwiseCopyable {
  /// Stands for the tenant's name, under the installation's secret.
  public let fingerprint: Fingerprint
  public let standing: Standing
  /// Whether the policy set names it, or has it under `"*"`.
  public let isNamed: Bool
  /// The policy set that it was looked up in.
  let edition: UInt16
  /// Which settings apply to it there.
  let row: UInt32

  /// Stands for one of this tenant's keys. The tenant's own fingerprint is the secret that it is hashed
  /// under, so that no tenant can aim at another's buckets.
  @inlinable @inline(__always) public func fingerprint(ofKey key: UnsafeRawBufferPointer)
    -> Fingerprint
  {
    KeyHash.hash(key, under: fingerprint)
  }
}
