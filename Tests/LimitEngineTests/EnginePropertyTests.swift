// The engine against the model: every field of every decision, over millions of random steps.

import TestSupport
import Testing

@testable import LimitEngine

@Suite struct EnginePropertyTests {
  private struct Held: ~Copyable { var permit: Permit? }

  /// Limits of every algorithm and scope, small enough to be hit and large enough to overflow
  /// anything that could.
  private static func randomPlan(_ random: inout SeededGenerator) -> PolicyPlan {
    var plan = PolicyPlan()
    for number in 0..<8 {
      plan.limits.append(
        LimitDefinition(
          name: "limit-\(number)", scope: Scope.allCases.randomElement(using: &random)!,
          unit: random.chance(1, in: 4) ? "tokens" : "requests",
          settings: randomSettings(algorithm: nil, &random)))
    }
    for _ in 0..<6 {
      let count = Int.random(in: 1...4, using: &random)
      plan.policies.append(Array((0..<8).shuffled(using: &random).prefix(count)))
    }
    plan.policies.append([0])
    for name in ["acme", "district-7", "internal"] {
      var tenant = PolicyPlan.TenantPlan(name: name)
      tenant.standing = name == "internal" ? .unlimited : .limited
      for limit in 0..<8 where plan.limits[limit].scope != .global && random.chance(1, in: 3) {
        tenant.overrides[limit] = randomSettings(
          algorithm: plan.limits[limit].settings.parameters.algorithm, &random)
      }
      plan.tenants.append(tenant)
    }
    plan.tenants.append(PolicyPlan.TenantPlan(name: "banned", standing: .blocked))
    plan.others = random.chance(1, in: 4) ? nil : .limited
    return plan
  }

  private static func randomSettings(algorithm: Algorithm?, _ random: inout SeededGenerator)
    -> LimitSettings
  {
    let capacity: UInt64 =
      switch random.next() % 6 {
      case 0: 1
      case 1: UInt64.random(in: 1 << 30...SlidingWindow.Parameters.limitMax, using: &random)
      default: UInt64.random(in: 1...40, using: &random)
      }
    let parameters: LimitParameters
    switch algorithm ?? Algorithm.allCases.randomElement(using: &random)! {
    case .tokenBucket:
      let shift = UInt64.random(in: 0...36, using: &random)
      let interval = UInt64.random(in: 1...(1 << shift), using: &random)
      let burst = min(capacity, TokenBucket.Parameters.toleranceMax.count / interval)
      parameters = .tokenBucket(
        TokenBucket.Parameters(emissionInterval: Nanoseconds(interval), burst: burst)!)
    case .slidingWindow:
      let windows: [UInt64] = [
        1_000_000_000, 60_000_000_000, 86_400_000_000_000, 31 * 86_400_000_000_000,
        UInt64.random(in: 1_000_000_000...10_000_000_000, using: &random),
      ]
      parameters = .slidingWindow(
        SlidingWindow.Parameters(
          limit: capacity, window: Nanoseconds(windows.randomElement(using: &random)!))!)
    case .concurrency: parameters = .concurrency(Concurrency.Parameters(limit: capacity)!)
    }
    return LimitSettings(
      parameters: parameters,
      softThreshold: random.chance(1, in: 3)
        ? UInt64.random(in: 1...parameters.capacity, using: &random) : nil,
      mode: random.chance(1, in: 5) ? .shadow : .enforce)
  }

  private static func randomStep(_ random: inout SeededGenerator) -> UInt64 {
    switch random.next() % 200 {
    case 0..<80: 0
    case 80..<120: random.next() % 1_000
    case 120..<160: random.next() % 100_000_000
    case 160..<190: random.next() % 3_000_000_000
    case 190..<198: random.next() % 90_000_000_000
    case 198: random.next() % (3 * 86_400_000_000_000)
    default: random.chance(1, in: 50) ? random.next() % (400 * 86_400_000_000_000) : 0
    }
  }

  private static func randomCost(_ random: inout SeededGenerator) -> UInt64 {
    switch random.next() % 20 {
    case 0: 0
    case 1: random.next()
    case 2: random.next() % (1 << 41)
    case 3: UInt64.max
    case 4..<8: random.next() % 50
    default: 1
    }
  }

  /// What a query turned out to take.
  private static func randomActual(_ cost: UInt64, _ random: inout SeededGenerator) -> UInt64 {
    switch random.next() % 8 {
    case 0..<3: 0
    case 3: cost
    case 4: cost / 2
    case 5: cost.addingReportingOverflow(random.next() % 20).partialValue
    case 6: cost.addingReportingOverflow(random.next() % (1 << 35)).partialValue
    default: random.next()
    }
  }

  /// The receipt with one bit changed.
  private static func altered(_ receipt: Receipt, _ random: inout SeededGenerator) -> Receipt {
    var altered = receipt
    switch random.next() % 7 {
    case 0:
      let flipped = receipt.decidedAt.nanoseconds ^ (1 << (random.next() % 62))
      altered.decidedAt = Instant(nanoseconds: flipped)
    case 1: altered.cost ^= 1 << (random.next() % 64)
    case 2: altered.mac ^= 1 << (random.next() % 64)
    case 3: altered.tag ^= 1 << UInt32(random.next() % 32)
    case 4: altered.escalated ^= 1 << UInt32(random.next() % 32)
    case 5: altered.charged ^= 1 << UInt16(random.next() % 16)
    default: altered.shadow ^= 1 << UInt16(random.next() % 16)
    }
    return altered
  }

  /// The plan with other parameters for some limits and tenants: what a reload brings.
  private static func changed(_ plan: PolicyPlan, _ random: inout SeededGenerator) -> PolicyPlan {
    var plan = plan
    for limit in plan.limits.indices where random.chance(1, in: 2) {
      plan.limits[limit].settings = randomSettings(
        algorithm: plan.limits[limit].settings.parameters.algorithm, &random)
    }
    for place in plan.tenants.indices where plan.tenants[place].standing != .blocked {
      let limits = plan.limits.indices.filter { plan.limits[$0].scope != .global }
      guard let limit = limits.randomElement(using: &random) else { continue }
      plan.tenants[place].overrides[limit] =
        random.chance(1, in: 3)
        ? nil
        : randomSettings(
          algorithm: plan.limits[limit].settings.parameters.algorithm, &random)
    }
    return plan
  }

  @Test("Every field of every decision is what the naive model says, over a million steps")
  func decisionsMatchTheModel() {
    let rounds = 60 / scale
    let stepsPerRound = 20_000
    for round in 0..<rounds {
      var random = SeededGenerator(seed: testSeed &+ UInt64(round))
      if let mismatch = Self.firstMismatch(steps: stepsPerRound, &random) {
        Issue.record("seed \(testSeed), round \(round): \(mismatch)")
        return
      }
    }
  }

  /// Runs one random plan; describes the first decision that differs.
  private static func firstMismatch(steps: Int, _ random: inout SeededGenerator) -> String? {
    var plan = randomPlan(&random)
    var policies = plan.compile(hashKey: HashKey(low: random.next(), high: random.next()))
    var configuration = Engine.Configuration()
    // So many that no bucket takes the slot of one that former rules would call dead.
    configuration.keySlots = 1 << 14
    configuration.tenantSlots = 1 << 12
    configuration.tenantsMax = 16
    configuration.keysPerTenantLimit = .max
    // Rounds with changes either convert all buckets at once, or leave it to whoever meets them.
    let changes = random.chance(1, in: 2)
    let converts = random.chance(1, in: 2)

    let engine = Engine(configuration)
    var model = EngineModel(plan)
    var now = random.chance(1, in: 2) ? 0 : random.next() >> 3
    var receipts: [(Receipt, String, Int, String)] = []
    var permits: [(number: Int, receipt: Receipt, tenant: String, policy: Int, key: String)] = []
    var held = PermitBox()
    for step in 0..<steps {
      now = min(now + randomStep(&random), Instant.max.nanoseconds / 2)
      let instant = Instant(nanoseconds: now)
      let tenant = ["acme", "district-7", "internal", "banned", "someone"].randomElement(
        using: &random)!
      let key = "user-\(random.next() % 12)"
      let policy = Int(random.next() % UInt64(plan.policies.count))
      let cost = randomCost(&random)
      let query = Self.query(policies, tenant, policy, key, cost)
      if !changes || converts, random.chance(1, in: 500) { engine.sweep(at: instant) }
      // A sweep frees what former rules call dead. Decisions bring one every 26 days, by when the
      // pass is long over.
      if changes && !converts && engine.isPastHorizon(instant) {
        engine.convert(under: policies, at: instant)
      }
      if changes && random.chance(1, in: 400) {
        if !converts { engine.convert(under: policies, at: instant) }
        plan = changed(plan, &random)
        let next = plan.compile(after: policies)
        // Until the change, the next set decides by the rules of the one before.
        guard
          engine.peek(Self.query(next, tenant, policy, key, cost), under: next, at: instant).outcome
            == engine.peek(query, under: policies, at: instant).outcome
        else { return "step \(step): another decision before the change" }
        engine.putInForce(next, at: instant)
        if converts { engine.convert(under: next, at: instant) }
        model.change(to: plan, at: now)
        policies = next
        continue
      }
      let expected: Decision
      var actual: Decision
      switch random.next() % 10 {
      case 0:
        actual = engine.peek(query, under: policies, at: instant)
        expected = model.decide(
          tenant: tenant, policy: policy, key: key, cost: cost, now: now, intent: .peek)
      case 1, 2:
        var acquisition = engine.acquire(query, under: policies, at: instant)
        actual = acquisition.decision
        expected = model.decide(
          tenant: tenant, policy: policy, key: key, cost: cost, now: now, intent: .acquire)
        if let permit = acquisition.takePermit() {
          permits.append((held.add(permit), actual.receipt, tenant, policy, key))
        }
      case 3 where !permits.isEmpty:
        let place = Int(random.next() % UInt64(permits.count))
        let known = permits.remove(at: place)
        engine.release(held.take(known.number))
        model.release(
          known.receipt, tenant: known.tenant, policy: known.policy, key: known.key, now: now)
        continue
      case 4 where !receipts.isEmpty:
        let place = Int(random.next() % UInt64(receipts.count))
        let (receipt, tenant, policy, key) = receipts.remove(at: place)
        let query = Self.query(policies, tenant, policy, key, 1)
        let actual = Self.randomActual(receipt.cost, &random)
        let forged = Self.altered(receipt, &random)
        guard engine.settle(query, forged, actual: actual, under: policies, at: instant) == .stale,
          engine.settle(query, receipt, actual: actual, under: policies, at: instant) == .settled
        else { return "step \(step): settling \(receipt) or \(forged)" }
        model.settle(
          receipt, actual: actual, tenant: tenant, policy: policy, key: key, now: now)
        continue
      default:
        actual = engine.markedCheck(query, under: policies, at: instant)
        expected = model.decide(
          tenant: tenant, policy: policy, key: key, cost: cost, now: now, intent: .check)
        if actual.outcome == .allow && random.chance(1, in: 4) {
          receipts.append((actual.receipt, tenant, policy, key))
        }
      }
      // What only the engine knows.
      actual.receipt.tag = 0
      actual.receipt.mac = 0
      if actual != expected {
        return """
          step \(step), \(tenant), policy \(plan.policies[policy]), key \(key), cost \(cost), \
          now \(now):
          expected \(expected)
          actual   \(actual)
          limits   \(plan.policies[policy].map { plan.settings($0, tenant: tenant) })
          """
      }
    }
    while let known = permits.popLast() { engine.release(held.take(known.number)) }
    return engine.invariantViolation(at: Instant(nanoseconds: now))
  }

  private static func query(
    _ policies: PolicySet, _ tenant: String, _ policy: Int, _ key: String, _ cost: UInt64
  ) -> Query {
    let tenant = policies.tenant(named: tenant)
    return Query(
      tenant: tenant, policy: PolicyIndex(UInt16(policy)), key: tenant.fingerprint(ofKey: key),
      cost: cost)
  }
}

extension Tenant {
  func fingerprint(ofKey key: String) -> Fingerprint {
    var key = key
    return key.withUTF8 { fingerprint(ofKey: UnsafeRawBufferPointer($0)) }
  }
}

/// Permits by number: they cannot be copied, so no array holds them.
struct PermitBox: ~Copyable {
  private var memory: [UnsafeMutablePointer<Permit>] = []

  mutating func add(_ permit: consuming Permit) -> Int {
    let place = UnsafeMutablePointer<Permit>.allocate(capacity: 1)
    place.initialize(to: permit)
    memory.append(place)
    return memory.count - 1
  }

  /// The permit of that number, which can be taken once.
  mutating func take(_ number: Int) -> Permit { memory[number].move() }

  deinit { for place in memory { place.deallocate() } }
}
