// Small policies for tests.

@testable import LimitEngine

/// A token bucket's settings: one unit per `interval` ns.
func tokenBucket(
  every interval: UInt64, burst: UInt64, soft: UInt64? = nil, mode: LimitMode = .enforce
) -> LimitSettings {
  LimitSettings(
    parameters: .tokenBucket(
      TokenBucket.Parameters(emissionInterval: Nanoseconds(interval), burst: burst)!),
    softThreshold: soft, mode: mode)
}

func slidingWindow(limit: UInt64, window: UInt64) -> LimitSettings {
  LimitSettings(
    parameters: .slidingWindow(SlidingWindow.Parameters(limit: limit, window: Nanoseconds(window))!)
  )
}

func concurrency(limit: UInt64) -> LimitSettings {
  LimitSettings(parameters: .concurrency(Concurrency.Parameters(limit: limit)!))
}

let second: UInt64 = 1_000_000_000
let day: UInt64 = 86_400_000_000_000

/// An engine with one tenant and one policy over all of `limits`.
struct Fixture: Sendable {
  let engine: Engine
  let policies: PolicySet
  let limits: [(Scope, LimitSettings)]

  init(
    _ limits: [(Scope, LimitSettings)], keySlots: Int = 1 << 10, keysPerTenant: Int? = nil,
    hashKey: HashKey = HashKey(low: 1, high: 2)
  ) {
    var configuration = Engine.Configuration()
    configuration.keySlots = keySlots
    configuration.tenantSlots = 1 << 8
    configuration.tenantsMax = 64
    configuration.keysPerTenantLimit = keysPerTenant
    self.init(limits, engine: Engine(configuration), hashKey: hashKey)
  }

  /// - Parameter names: of the limits; `limit-0` and so on unless given.
  init(
    _ limits: [(Scope, LimitSettings)], engine: Engine, hashKey: HashKey = HashKey(low: 1, high: 2),
    names: [String] = []
  ) {
    self.limits = limits
    self.engine = engine
    var plan = PolicyPlan()
    for (number, limit) in limits.enumerated() {
      plan.limits.append(
        LimitDefinition(
          name: number < names.count ? names[number] : "limit-\(number)", scope: limit.0,
          settings: limit.1))
    }
    plan.policies = [Array(limits.indices)] + limits.indices.map { [$0] }
    policies = plan.compile(hashKey: hashKey)
  }

  private init(_ other: Fixture, engine: Engine) {
    self.engine = engine
    policies = other.policies
    limits = other.limits
  }

  /// The same policies over another engine.
  func over(_ engine: Engine) -> Fixture { Fixture(self, engine: engine) }

  /// A query on all limits; `policy` n + 1 is the one of limit n alone.
  func query(_ key: String = "user", tenant: String = "acme", policy: Int = 0, cost: UInt64 = 1)
    -> Query
  {
    let tenant = policies.tenant(named: tenant)
    return Query(
      tenant: tenant, policy: PolicyIndex(UInt16(policy)), key: tenant.fingerprint(ofKey: key),
      cost: cost)
  }

  func check(_ query: Query, at now: UInt64) -> Decision {
    engine.markedCheck(query, under: policies, at: Instant(nanoseconds: now))
  }
}

extension Engine {
  /// A decision with a receipt that can be settled, as one is given out.
  func markedCheck(_ query: Query, under policies: borrowing PolicySet, at now: Instant) -> Decision
  {
    var decision = check(query, under: policies, at: now)
    if decision.outcome == .allow {
      policies.mark(&decision.receipt, ofKey: query.key, under: query.policy)
    }
    return decision
  }
}
