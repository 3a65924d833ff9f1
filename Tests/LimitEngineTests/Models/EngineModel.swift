// The whole engine the naive way: a dictionary of bucket models, with room for every key.

@testable import LimitEngine

/// A policy set in plain arrays, from which both the engine's and the model's are made.
struct PolicyPlan {
  struct TenantPlan {
    var name: String
    var standing: Standing = .limited
    var overrides: [Int: LimitSettings] = [:]
  }

  var limits: [LimitDefinition] = []
  var policies: [[Int]] = []
  var tenants: [TenantPlan] = []
  var others: Standing? = .limited

  func compile(hashKey: HashKey = HashKey(low: 1, high: 2)) -> PolicySet {
    var builder = PolicySetBuilder()
    let indices = limits.map { builder.addLimit($0) }
    for (number, list) in policies.enumerated() {
      builder.addPolicy(named: "policy-\(number)", limits: list.map { indices[$0] })
    }
    for tenant in tenants {
      let row = builder.addRow(
        basedOn: .base, overrides: tenant.overrides.map { (indices[$0], $1) })
      builder.addTenant(
        named: tenant.name, PolicySetBuilder.Treatment(standing: tenant.standing, row: row))
    }
    builder.anyTenant = others.map { PolicySetBuilder.Treatment(standing: $0) }
    return builder.build(hashKey: hashKey)
  }

  func settings(_ limit: Int, tenant: String) -> LimitSettings {
    tenants.first { $0.name == tenant }?.overrides[limit] ?? limits[limit].settings
  }

  func standing(_ tenant: String) -> Standing {
    tenants.first { $0.name == tenant }?.standing ?? others ?? .unknown
  }
}

struct EngineModel {
  struct Place: Hashable {
    let limit: Int
    let tenant: String
    let key: String
  }

  enum Intent { case check, peek, acquire }

  let plan: PolicyPlan
  private var buckets: [Place: any BucketModel] = [:]

  init(_ plan: PolicyPlan) { self.plan = plan }

  private func place(_ limit: Int, _ tenant: String, _ key: String) -> Place {
    switch plan.limits[limit].scope {
    case .key: Place(limit: limit, tenant: tenant, key: "key " + key)
    case .tenant: Place(limit: limit, tenant: tenant, key: "")
    case .global: Place(limit: limit, tenant: "", key: "")
    }
  }

  private func bucket(_ limit: Int, _ tenant: String, _ key: String) -> any BucketModel {
    if let known = buckets[place(limit, tenant, key)] { return known }
    switch plan.settings(limit, tenant: tenant).parameters {
    case .tokenBucket(let parameters):
      return TokenBucketModel(interval: parameters.emissionInterval.count, burst: parameters.burst)
    case .slidingWindow(let parameters):
      return SlidingWindowModel(limit: parameters.limit, window: parameters.window.count)
    case .concurrency(let parameters): return ConcurrencyModel(limit: parameters.limit)
    }
  }

  /// What a query takes from one limit of its policy.
  func cost(_ cost: UInt64, limit: Int, policy: Int) -> UInt64 {
    isMixed(policy) && plan.limits[limit].unit == "requests" ? min(cost, 1) : cost
  }

  private func isMixed(_ policy: Int) -> Bool {
    plan.policies[policy].contains { plan.limits[$0].unit != "requests" }
  }

  private struct Opinion {
    var limit: Int
    var cost: UInt64
    var settings: LimitSettings
    var isEnforced: Bool
    var answer: ModelAnswer
    var isCharged = false
  }

  mutating func decide(
    tenant: String, policy: Int, key: String, cost: UInt64, now: UInt64, intent: Intent
  ) -> Decision {
    let instant = Instant(nanoseconds: now)
    if let refused = withoutLimit(plan.standing(tenant), cost: cost, now: instant) {
      return refused
    }
    var opinions = plan.policies[policy].map { limit in
      let settings = plan.settings(limit, tenant: tenant)
      let part = self.cost(cost, limit: limit, policy: policy)
      return Opinion(
        limit: limit, cost: part, settings: settings,
        isEnforced: settings.mode == .enforce && plan.standing(tenant) == .limited,
        answer: bucket(limit, tenant, key).look(cost: part, now: now))
    }
    let isAdmitted = opinions.allSatisfy { !$0.isEnforced || $0.answer.outcome == .allow }
    if isAdmitted && intent != .peek {
      for number in opinions.indices where opinions[number].answer.outcome == .allow {
        let opinion = opinions[number]
        let isHeld = opinion.settings.parameters.algorithm == .concurrency
        guard opinion.cost > 0, intent == .acquire || !isHeld else { continue }
        var bucket = bucket(opinion.limit, tenant, key)
        bucket.charge(cost: opinion.cost, now: now)
        let after = bucket.look(cost: 0, now: now)
        buckets[place(opinion.limit, tenant, key)] = bucket
        opinions[number].answer.remaining = after.remaining
        opinions[number].answer.resetAfter = after.resetAfter
        opinions[number].isCharged = true
      }
    }
    var decision = compose(opinions, cost: cost, now: instant, isAdmitted: isAdmitted)
    if plan.standing(tenant) == .unlimited { decision.reason = .unlimited }
    return decision
  }

  private func withoutLimit(_ standing: Standing, cost: UInt64, now: Instant) -> Decision? {
    guard standing == .blocked || standing == .unknown else { return nil }
    return Decision(
      outcome: .deny, reason: standing == .blocked ? .blocked : .unknownTenant, flags: [],
      limit: .none, place: Decision.noPlace, capacity: 0, remaining: 0,
      retryAfter: Nanoseconds(.max), resetAfter: .zero,
      receipt: Receipt(tag: 0, decidedAt: now, cost: cost))
  }

  private func compose(_ opinions: [Opinion], cost: UInt64, now: Instant, isAdmitted: Bool)
    -> Decision
  {
    let enforced = opinions.filter(\.isEnforced)
    let voters = enforced.isEmpty ? opinions : enforced
    var chosen = voters[0]
    for voter in voters.dropFirst() where precedes(voter, chosen, isAdmitted: isAdmitted) {
      chosen = voter
    }
    var flags: Decision.Flags = []
    var charged: UInt16 = 0
    var shadow: UInt16 = 0
    for (number, opinion) in opinions.enumerated() {
      let used =
        opinion.settings.parameters.capacity
        - min(opinion.settings.parameters.capacity, opinion.answer.remaining)
      if let soft = opinion.settings.softThreshold, used >= soft { flags.insert(.softThreshold) }
      if !opinion.isEnforced && opinion.answer.outcome != .allow {
        flags.insert(.shadowDenied)
        shadow |= 1 << UInt16(number)
      }
      if opinion.isCharged { charged |= 1 << UInt16(number) }
    }
    return Decision(
      outcome: isAdmitted ? .allow : chosen.answer.outcome, reason: .limit, flags: flags,
      limit: LimitIndex(UInt16(chosen.limit)),
      place: UInt8(opinions.firstIndex { $0.limit == chosen.limit }!),
      capacity: chosen.settings.parameters.capacity,
      remaining: chosen.answer.remaining,
      retryAfter: Nanoseconds(isAdmitted ? 0 : chosen.answer.retryAfter),
      resetAfter: Nanoseconds(chosen.answer.resetAfter),
      receipt: Receipt(tag: 0, decidedAt: now, cost: cost, charged: charged, shadow: shadow))
  }

  /// Whether `one` has more to say than `other`, which comes before it in the policy.
  private func precedes(_ one: Opinion, _ other: Opinion, isAdmitted: Bool) -> Bool {
    if !isAdmitted {
      let (first, second) = (one.answer, other.answer)
      if first.outcome != second.outcome { return first.outcome.rawValue > second.outcome.rawValue }
      if first.outcome == .never { return false }
      if first.retryAfter != second.retryAfter { return first.retryAfter > second.retryAfter }
    }
    // The least fraction left.
    return Int128(one.answer.remaining) * Int128(other.settings.parameters.capacity) < Int128(
      other.answer.remaining) * Int128(one.settings.parameters.capacity)
  }

  /// Corrects what a decision took to `actual`. A limit on requests among others keeps its one.
  mutating func settle(
    _ receipt: Receipt, actual: UInt64, tenant: String, policy: Int, key: String, now: UInt64
  ) {
    for (number, limit) in plan.policies[policy].enumerated() {
      let bit: UInt16 = 1 << UInt16(number)
      guard receipt.charged & bit != 0 || receipt.cost == 0 && receipt.shadow & bit == 0 else {
        continue
      }
      let taken = cost(receipt.cost, limit: limit, policy: policy)
      var wanted = cost(actual, limit: limit, policy: policy)
      if plan.limits[limit].unit == "requests" && wanted < taken && isMixed(policy) {
        wanted = taken
      }
      guard plan.limits[limit].settings.parameters.algorithm != .concurrency, wanted != taken else {
        continue
      }
      var bucket = bucket(limit, tenant, key)
      if wanted < taken {
        bucket.giveBack(
          cost: taken - wanted, decidedAt: receipt.decidedAt.nanoseconds, now: now)
      } else {
        bucket.book(cost: wanted - taken, now: now)
      }
      buckets[place(limit, tenant, key)] = bucket
    }
  }

  mutating func release(_ receipt: Receipt, tenant: String, policy: Int, key: String, now: UInt64) {
    for (number, limit) in plan.policies[policy].enumerated()
    where receipt.charged & 1 << UInt16(number) != 0 {
      guard plan.limits[limit].settings.parameters.algorithm == .concurrency else { continue }
      var bucket = bucket(limit, tenant, key)
      bucket.giveBack(
        cost: cost(receipt.cost, limit: limit, policy: policy),
        decidedAt: receipt.decidedAt.nanoseconds, now: now)
      buckets[place(limit, tenant, key)] = bucket
    }
  }
}
