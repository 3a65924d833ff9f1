// Buckets of everybody's, in which tenants overflow, when the rules change: their words are read by
// whoever looks, and by the pass over all of them, to the same effect.

import TestSupport
import Testing

@testable import LimitEngine

@Suite struct SharedBucketTests {
  /// An engine in which a guest finds no place of its own.
  private final class Crowded {
    let engine: Engine
    private(set) var policies: PolicySet

    init(_ settings: LimitSettings) {
      var configuration = Engine.Configuration()
      configuration.keySlots = 1_024
      configuration.tenantSlots = 1_024
      configuration.tenantsMax = 1
      engine = Engine(configuration)
      policies = Self.plan(settings).compile()
      engine.setAside(for: policies)
    }

    private static func plan(_ settings: LimitSettings, names: [String] = ["acme"]) -> PolicyPlan {
      var plan = PolicyPlan()
      plan.limits = [LimitDefinition(name: "a", scope: .tenant, settings: settings)]
      plan.policies = [[0]]
      plan.tenants = names.map { PolicyPlan.TenantPlan(name: $0) }
      return plan
    }

    func change(to settings: LimitSettings, converts: Bool, at now: UInt64) {
      let next = Self.plan(settings).compile(after: policies)
      engine.setAside(for: next)
      engine.putInForce(next, at: Instant(nanoseconds: now))
      if converts { engine.convert(under: next, at: Instant(nanoseconds: now)) }
      policies = next
    }

    func guest(_ cost: UInt64 = 1, at now: UInt64) -> Decision {
      let tenant = policies.tenant(named: "guest")
      let decision = engine.check(
        Query(
          tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: ""), cost: cost),
        under: policies, at: Instant(nanoseconds: now))
      #expect(decision.flags.contains(.overflow))
      return decision
    }
  }

  private static let start = 40 * day + 77 * second

  @Test(
    "A change of the guests' rate lets nobody wait by the rate before", arguments: [false, true])
  func otherRate(converts: Bool) {
    let crowded = Crowded(tokenBucket(every: 3_600 * second, burst: 10))
    #expect(crowded.guest(10, at: Self.start).outcome == .allow)
    #expect(crowded.guest(at: Self.start).outcome == .deny)
    crowded.change(
      to: tokenBucket(every: second / 10, burst: 10), converts: converts, at: Self.start)
    #expect(crowded.guest(10, at: Self.start).outcome == .allow)
    #expect(crowded.guest(at: Self.start).retryAfter == Nanoseconds(second / 10))
  }

  @Test(
    "Rules that stay forgive guests nothing, in a window, the one before it and a token bucket",
    arguments: [false, true])
  func sameRules(converts: Bool) {
    for settings in [
      slidingWindow(limit: 100, window: 60 * second), tokenBucket(every: 60 * second, burst: 100),
    ] {
      let crowded = Crowded(settings)
      let minute = 60 * second
      let first = Self.start - Self.start % minute
      #expect(crowded.guest(60, at: first).outcome == .allow)
      let isWindow = settings.parameters.algorithm == .slidingWindow
      // Of the 60, all are in view as the next window begins; a token bucket has one unit back.
      #expect(crowded.guest(40, at: first + minute).remaining == (isWindow ? 0 : 1))
      for _ in 0..<3 {
        crowded.change(to: settings, converts: converts, at: first + minute)
        #expect(crowded.guest(2, at: first + minute).outcome == .deny)
        if !converts {
          crowded.engine.convert(
            under: crowded.policies, at: Instant(nanoseconds: first + minute))
        }
      }
      #expect(crowded.guest(0, at: first + minute).remaining == (isWindow ? 0 : 1))
    }
  }
}
