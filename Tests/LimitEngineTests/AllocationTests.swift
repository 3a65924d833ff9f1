// Deciding allocates nothing: counted, not read.

import CAllocationCounter
import Testing

@testable import LimitEngine

// Skipped, and the run says so, where a sanitizer owns malloc and nothing is counted.
@Suite(.enabled(if: limitd_allocations_of_this_thread() >= 0, "a sanitizer owns malloc"))
struct AllocationTests {
  private func allocations(_ body: () -> Void) -> Int64 {
    body()
    let before = limitd_allocations_of_this_thread()
    for _ in 0..<100 { body() }
    return limitd_allocations_of_this_thread() - before
  }

  @Test("The counter counts") func counterCounts() {
    let before = limitd_allocations_of_this_thread()
    let array = [UInt8](repeating: 1, count: Int.random(in: 1_000...2_000))
    #expect(array.count > 0)
    #expect(limitd_allocations_of_this_thread() > before)
  }

  @Test("Allow, deny, peek, settle, permits and sweeps allocate nothing, with one limit or many")
  func decisionsAllocateNothing() {
    let fixture = Fixture([
      (.key, tokenBucket(every: 10, burst: 1 << 20)),
      (.tenant, slidingWindow(limit: 1 << 30, window: second)), (.global, concurrency(limit: 4)),
      (.key, tokenBucket(every: day, burst: 1)),
    ])
    let (engine, policies) = (fixture.engine, fixture.policies)
    var now = second
    for policy in 0...4 {
      let query = fixture.query(policy: policy)
      let count = allocations {
        // Into the next window now and then, so that windows roll.
        now += 90_000_000
        let time = Instant(nanoseconds: now)
        let decision = engine.markedCheck(query, under: policies, at: time)
        _ = engine.peek(query, under: policies, at: time)
        _ = engine.settle(query, decision.receipt, actual: 2, under: policies, at: time)
        var acquisition = engine.acquire(query, under: policies, at: time)
        if let permit = acquisition.takePermit() { engine.release(permit) }
      }
      #expect(count == 0, "policy \(policy)")
    }
    // New keys, which take slots and leave them.
    var number: UInt64 = 0
    let tenant = policies.tenant(named: "acme")
    let count = allocations {
      number += 1
      now += 1_000_000
      var bytes = number
      let key = withUnsafeBytes(of: &bytes) { tenant.fingerprint(ofKey: $0) }
      let query = Query(tenant: tenant, policy: PolicyIndex(1), key: key)
      _ = engine.check(query, under: policies, at: Instant(nanoseconds: now))
      if number % 10 == 0 { engine.sweep(at: Instant(nanoseconds: now)) }
    }
    #expect(count == 0)
  }

  @Test("Resolving a tenant by its bytes allocates nothing, named or not")
  func tenantsAllocateNothing() {
    var plan = PolicyPlan()
    plan.limits = [
      LimitDefinition(name: "l", scope: .key, settings: tokenBucket(every: 1, burst: 1))
    ]
    plan.policies = [[0]]
    plan.tenants = [PolicyPlan.TenantPlan(name: "acme", standing: .unlimited)]
    let policies = plan.compile()
    let (named, other) = (Array("acme".utf8), Array("someone".utf8))
    var standings: Set<Standing> = []
    standings.reserveCapacity(8)
    let count = allocations {
      standings.insert(named.withUnsafeBytes { policies.tenant(named: $0) }.standing)
      standings.insert(other.withUnsafeBytes { policies.tenant(named: $0) }.standing)
    }
    #expect(count == 0)
    #expect(standings == [.unlimited, .limited])
  }

  @Test("Finding a policy by the bytes of its name allocates nothing, there or not")
  func policiesAllocateNothing() {
    var plan = PolicyPlan()
    plan.limits = [
      LimitDefinition(name: "l", scope: .key, settings: tokenBucket(every: 1, burst: 1))
    ]
    plan.policies = Array(repeating: [0], count: 100)
    let policies = plan.compile()
    let (there, other) = (Array(policies.policyNames[99].utf8), Array("no such policy".utf8))
    var found = 0
    let count = allocations {
      if there.withUnsafeBytes({ policies.policy(named: $0) }) == PolicyIndex(99) { found += 1 }
      if other.withUnsafeBytes({ policies.policy(named: $0) }) != nil { found -= 1 }
    }
    #expect(count == 0)
    #expect(found == 101)
  }
}
