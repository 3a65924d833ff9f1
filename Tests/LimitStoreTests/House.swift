// Daemons of one installation, one after the other, each with the rules of its own file: opened and put
// in force as limitd does it.

import Glibc
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitStore

/// How state comes to the next start.
enum Passage: CaseIterable {
  case live, otherSizes, snapshot, reboot
}

/// An installation whose daemons have rules.
final class House {
  let installation: Installation
  let kept: KeptPolicies
  /// The last report of a start.
  private(set) var goingOn: GoingOn!

  init() throws {
    installation = try Installation()
    kept = KeptPolicies(installation.folder)
  }

  static func file(_ limits: String, tenants: String = "\"*\": {}") -> PolicyFile {
    let names = limits.split(separator: "\n").map { $0.prefix { $0 != ":" }.dropFirst(2) }
    let text = """
      limits:
      \(limits)
      policies: {\(names.map { "\($0): [\($0)]" }.joined(separator: ", "))}
      tenants: {\(tenants)}
      """
    // The file is right.
    return try! PolicyFile.parse(text, path: "p.yaml")
  }

  func start(_ file: PolicyFile) throws -> Household {
    let opening = StateOpening(
      sizes: installation.sizes, hashKey: installation.hashKey,
      liveStatePath: installation.isLive ? installation.livePath : nil,
      snapshots: installation.snapshots, clocks: installation.clocks)
    let state = try opening.open()
    let now = Instant(nanoseconds: installation.clocks.boot &+ state.clockOffset)
    let kept = kept
    let (rulebook, goingOn) = try state.engine.goOn(
      under: file, hashKey: installation.hashKey, at: now,
      kept: { identity in
        kept.bytes(of: identity).flatMap { try? PolicyFile.parse($0, path: "kept.yaml") }
      }, keep: { try? kept.keep(file.source, identity: file.sourceIdentity) })
    self.goingOn = goingOn
    return Household(state, rulebook.policies, self)
  }

  /// What is between the end of a daemon, which is gone, and the next start.
  func pass(_ passage: Passage) {
    switch passage {
    case .live: break
    case .otherSizes: installation.sizes.keySlots *= 2
    case .snapshot: unlink(installation.livePath)
    case .reboot: installation.reboot(downSeconds: 0)
    }
  }
}

/// A daemon's engine and rules.
final class Household {
  let state: OpenedState
  var policies: PolicySet
  let house: House

  init(_ state: consuming OpenedState, _ policies: PolicySet, _ house: House) {
    self.state = state
    self.policies = policies
    self.house = house
  }

  var now: Instant {
    Instant(nanoseconds: house.installation.clocks.boot &+ state.clockOffset)
  }

  func ask(_ policy: String, _ cost: UInt64 = 1, key: String = "k", tenant: String = "acme")
    -> Decision
  {
    let tenant = policies.tenant(named: tenant)
    let fingerprint = Array(key.utf8).withUnsafeBytes { tenant.fingerprint(ofKey: $0) }
    return state.engine.check(
      Query(
        tenant: tenant, policy: policies.policy(named: policy)!, key: fingerprint, cost: cost),
      under: policies, at: now)
  }

  func left(_ policy: String, key: String = "k", tenant: String = "acme") -> UInt64 {
    ask(policy, 0, key: key, tenant: tenant).remaining
  }

  /// Changes the rules, so far that words of both are left.
  func change(to file: PolicyFile, converts: Bool = false) {
    try? house.kept.keep(file.source, identity: file.sourceIdentity)
    policies = file.compile(after: policies)
    state.engine.putInForce(policies, at: now)
    if converts { state.engine.convert(under: policies, at: now) }
  }

  func snapshot(unless isAbandoned: () -> Bool = { false }) throws {
    _ = try house.installation.snapshots.write(
      state.engine, hashKey: house.installation.hashKey, clocks: house.installation.clocks,
      clockOffset: state.clockOffset, limits: [], unless: isAbandoned)
  }
}
