// Changes of a few tenants and of modes, each made from what was in force before, against the same rules read and compiled
// from the start.

import TestSupport
import Testing

@testable import LimitEngine
@testable import LimitPolicy

@Suite struct TenantChangeTests {
  private static let text = """
    limits:
      burst: {algorithm: token-bucket, rate: 100/s, burst: 200, scope: tenant}
      tokens: {algorithm: sliding-window, limit: 1000, window: 1m, scope: key, unit: tokens}
      flight: {algorithm: concurrency, limit: 4, scope: tenant}
      all: {algorithm: token-bucket, rate: 1k/s, burst: 1k, scope: global}
    policies:
      some: [burst, all]
      chat: [burst, tokens, flight]
    plans:
      pro: {burst: {rate: 1000/s, mode: shadow}, flight: {limit: 8}}
      slow: {burst: {rate: 1/1d}}
    tenants:
      ANY
      acme: {plan: pro, limits: {burst: {burst: 300}}}
      banned: {blocked: true}
      free: {unlimited: true}
      t1: {plan: pro}
      t2: {plan: pro, limits: {burst: {mode: enforce}}}
      t3: {limits: {burst: {mode: shadow}}}
    """
  private static let names = [
    "acme", "banned", "free", "t1", "t2", "t3", "new", "late", "é", "zoe",
  ]

  /// What is in force, and what it was made from.
  private struct InForce {
    var file: PolicyFile
    var problems: [OverlayProblem]
    var policies: PolicySet
  }

  private static func setting(_ random: inout SeededGenerator) -> OverlayChange.Edit {
    // The last ones fit nothing.
    let all: [(String, String, String)] = [
      ("burst", "burst", "9"), ("burst", "burst", "200"), ("burst", "rate", "5/10s"),
      ("burst", "mode", "shadow"), ("burst", "mode", "enforce"), ("burst", "soft", "50%"),
      ("tokens", "limit", "2M"),
      ("tokens", "window", "1h"), ("flight", "limit", "4"), ("flight", "limit", "5"),
      ("all", "mode", "shadow"), ("burst", "burst", "0"), ("none", "limit", "1"),
    ]
    let (limit, parameter, value) = all.randomElement(using: &random)!
    let isSet = Bool.random(using: &random) || Bool.random(using: &random)
    return .init(limit: limit, parameter: parameter, value: isSet ? value : nil)
  }

  private static func change(_ random: inout SeededGenerator) -> OverlayChange {
    let name = names.randomElement(using: &random)!
    func tenant() -> Overlay.Tenant {
      let edit = setting(&random)
      let settings = edit.value.map {
        [Overlay.Setting(limit: edit.limit, parameter: edit.parameter ?? "", value: $0)]
      }
      return .init(
        plan: ["pro", nil].randomElement(using: &random)!, settings: settings ?? [],
        block: Bool.random(using: &random) ? .init(reason: "r") : nil)
    }
    switch Int.random(in: 0..<22, using: &random) {
    case 0..<8:
      let plan: String?? = [nil, .some(nil), "pro", "slow", "gone"].randomElement(using: &random)!
      return .edit(tenant: name, plan: plan, [setting(&random)])
    case 8..<11: return .block(tenant: name, .init(reason: "unpaid", until: random.next() % 9))
    case 11..<14: return .unblock(tenant: name)
    case 14..<16: return .clear(tenant: name)
    case 16: return .endBlocks(at: 5)
    case 17..<21:
      // The last one is no limit.
      let limit = ["burst", "burst", "all", "none"].randomElement(using: &random)!
      return .mode(limit: limit, [.shadow, .enforce, nil].randomElement(using: &random)!)
    default:
      return .replace(names.shuffled(using: &random).prefix(3).map { ($0, tenant()) })
    }
  }

  /// All that a rule decides by.
  private static func text(_ rule: Rule) -> String {
    "\(rule.seed) \(rule.capacity) \(rule.period) \(rule.softRemaining) \(rule.limit) "
      + "\(rule.head) \(rule.algorithm) \(rule.scope) \(rule.mode) \(rule.hasSoftThreshold) "
      + "\(rule.isFormer)"
  }

  /// All that a set says of a tenant, known or not.
  private static func text(_ tenant: Tenant, in policies: PolicySet) -> [String] {
    policies.limits.indices.map { place in
      let limit = LimitIndex(UInt16(place))
      let rule = policies.newestRule(for: limit, ofRow: tenant.row).pointee
      let lasting = policies.newestRule(
        for: limit, ofRow: policies.lastingRow(of: tenant.fingerprint)
      ).pointee
      return "\(tenant.standing) \(tenant.isNamed) \(text(rule)); \(text(lasting)); "
        + (rule.counterpart.map { text($0.pointee) } ?? "none")
    }
  }

  private static func compare(_ changed: InForce, _ scratch: InForce, _ what: String) throws {
    #expect(changed.file.tenantNames == scratch.file.tenantNames, "\(what)")
    #expect(changed.file.differences(to: scratch.file) == [], "\(what)")
    #expect(changed.file.document == scratch.file.document, "\(what)")
    #expect(Set(changed.problems) == Set(scratch.problems), "\(what)")
    for name in names {
      #expect(
        changed.file.tenants.first { $0.name.hasSameBytes(as: name) }?.block
          == scratch.file.tenants.first { $0.name.hasSameBytes(as: name) }?.block, "\(what)")
    }
    let (own, other) = (changed.policies, scratch.policies)
    #expect(own.generation == other.generation && own.source == other.source, "\(what)")
    #expect(own.namedTenantCount == other.namedTenantCount, "\(what)")
    for name in names + ["nobody"] {
      #expect(
        text(own.tenant(named: name), in: own) == text(other.tenant(named: name), in: other),
        "\(what), tenant \(name)")
    }
    for name in ["some", "chat"] {
      let policy = try #require(own.policy(named: name))
      #expect(other.policy(named: name) == policy)
      #expect(
        own.limits(of: policy) == other.limits(of: policy)
          && own.tag(of: policy) == other.tag(of: policy))
    }
    // Whose mode counts, the file with what lies over it says by itself.
    for (name, policy) in (names + ["nobody"]).flatMap({ [($0, "some"), ($0, "chat")] }) {
      let explained = try #require(changed.file.explain(tenant: name, policy: policy))
      let limits = own.limits(of: try #require(own.policy(named: policy)))
      let row = own.tenant(named: name).row
      #expect(
        limits.map { own.newestRule(for: $0, ofRow: row).pointee.mode }
          == explained.limits.map(\.mode), "\(what), tenant \(name)")
    }
    // Rows that nobody has any more are left behind when there is no room.
    #expect(own.rowCount <= 2 * names.count + 4 + 3 * 16 + 64, "\(what)")
  }

  @Test(
    "Changes made one by one come to what reading and compiling everything comes to",
    arguments: ["\"*\": {plan: slow, limits: {tokens: {limit: 10}}}", "\"*\": {blocked: true}", ""])
  func oneByOne(any: String) throws {
    var random = SeededGenerator(seed: testSeed)
    let base = try PolicyFile.parse(Self.text.replacing("ANY", with: any), path: "p.yaml")
    let key = HashKey(low: 1, high: 2)
    var overlay = Overlay()
    var changed = InForce(file: base, problems: [], policies: base.compile(hashKey: key))
    var scratch = changed
    for step in 0..<160 {
      // Mostly one at a time, as the daemon makes them; and several that waited together.
      let changes = (0..<(step.isMultiple(of: 5) ? 3 : 1)).map { _ in Self.change(&random) }
      let names = changes.flatMap { overlay.apply($0) }.compactMap(\.tenant)
      // As the daemon does, whose sets mostly end before the next change; and as nobody does.
      if step % 3 > 0 { changed.policies.prepareChange() }
      let former = step % 7 > 4 ? changed.policies : nil
      defer { withExtendedLifetime(former) {} }
      let (file, problems) = base.overlaid(by: overlay)
      scratch = InForce(
        file: file, problems: problems, policies: file.compile(after: scratch.policies))
      let quick = base.overlaid(by: overlay, changing: names, in: changed.file)
      let others = changed.problems.filter { problem in
        problem.subject.tenant.map { !names.contains($0) } ?? false
      }
      changed = InForce(
        file: quick.file, problems: others + quick.problems,
        policies: quick.file.compile(changing: names, after: changed.policies))
      try Self.compare(changed, scratch, "seed \(testSeed), step \(step): \(changes)")
    }
  }
}
