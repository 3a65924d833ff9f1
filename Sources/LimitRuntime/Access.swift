// Who may do what: `daemon.access`, made ready for connections. Immutable: any thread may ask.

import Glibc
package import LimitEngine
package import LimitPolicy

/// What a peer may do, as the policy file has it.
package typealias Roles = DaemonSettings.Roles

/// Who connected, as the kernel says (SO_PEERCRED, SO_PEERGROUPS); fixed at connect.
package struct Peer: Hashable, Sendable {
  package var processID: Int32
  package var userID: UInt32
  /// The primary group first.
  package var groupIDs: [UInt32]

  package init(processID: Int32, userID: UInt32, groupIDs: [UInt32]) {
    self.processID = processID
    self.userID = userID
    self.groupIDs = groupIDs
  }
}

/// What one peer may do.
package struct PeerAccess: Sendable {
  /// For every tenant.
  package var everywhere: Roles = []
  /// Beyond that, for single tenants.
  package var byTenant: [Fingerprint: Roles] = [:]

  /// Nothing.
  package init() {}

  fileprivate init(everywhere: Roles) { self.everywhere = everywhere }

  @inline(__always) package func roles(for tenant: Tenant) -> Roles {
    roles(for: tenant.fingerprint)
  }

  @inline(__always) private func roles(for tenant: Fingerprint) -> Roles {
    byTenant.isEmpty ? everywhere : everywhere.union(byTenant[tenant] ?? [])
  }

  /// For any tenant at all: what the reply to hello shows.
  package var anywhere: Roles { byTenant.values.reduce(everywhere) { $0.union($1) } }

  // MARK: Reading

  /// Either allows it: who may change may read.
  private static let readers: Roles = [.observe, .administer]

  /// What concerns everybody.
  package var mayReadAll: Bool { !everywhere.isDisjoint(with: Self.readers) }

  /// Something, of some tenant at least.
  package var mayReadSome: Bool { !anywhere.isDisjoint(with: Self.readers) }

  /// What concerns a tenant.
  package func mayRead(of tenant: Fingerprint) -> Bool {
    !roles(for: tenant).isDisjoint(with: Self.readers)
  }
}

/// The access rules of one configuration.
package struct Access: Sendable {
  private struct Rule {
    let userID: UInt32?
    let groupID: UInt32?
    let roles: Roles
    let tenants: [Fingerprint]?
  }

  /// `nil`: whoever may open the socket may query and settle.
  private let rules: [Rule]?

  /// - Throws: a user or group that this host does not have, with its place in the file.
  init(_ rules: [DaemonSettings.AccessRule]?, policies: PolicySet, path: String)
    throws(UnknownNameError)
  {
    guard let rules else {
      self.rules = nil
      return
    }
    var resolved: [Rule] = []
    for rule in rules {
      var (userID, groupID): (UInt32?, UInt32?) = (nil, nil)
      switch rule.subject {
      case .userID(let number): userID = number
      case .groupID(let number): groupID = number
      case .user(let name):
        guard let number = getpwnam(name)?.pointee.pw_uid else {
          throw UnknownNameError(path, rule, "there is no user '\(name)' on this host")
        }
        userID = number
      case .group(let name):
        guard let number = Self.groupID(named: name) else {
          throw UnknownNameError(path, rule, "there is no group '\(name)' on this host")
        }
        groupID = number
      }
      resolved.append(
        Rule(
          userID: userID, groupID: groupID, roles: rule.roles,
          tenants: rule.tenants?.map { policies.tenant(named: $0).fingerprint }))
    }
    self.rules = resolved
  }

  /// `nil` where this host has no group of that name.
  package static func groupID(named name: String) -> UInt32? { getgrnam(name)?.pointee.gr_gid }

  /// Whether a user may do everything, whatever the rules say: root, and the daemon's own.
  package static func isPrivileged(_ userID: UInt32) -> Bool {
    userID == 0 || userID == geteuid()
  }

  /// What a peer may do: what all rules that match it allow, together. O(rules × groups).
  package func resolve(_ peer: Peer) -> PeerAccess {
    if Self.isPrivileged(peer.userID) {
      return PeerAccess(everywhere: [.query, .settle, .observe, .administer])
    }
    guard let rules else { return PeerAccess(everywhere: [.query, .settle]) }
    var access = PeerAccess()
    for rule in rules {
      let isMet =
        rule.userID == peer.userID || rule.groupID.map { peer.groupIDs.contains($0) } ?? false
      guard isMet else { continue }
      if let tenants = rule.tenants {
        for tenant in tenants { access.byTenant[tenant, default: []].formUnion(rule.roles) }
      } else {
        access.everywhere.formUnion(rule.roles)
      }
    }
    return access
  }
}

/// A user or group in the policy file that this host does not have: the file is at fault.
package struct UnknownNameError: Error, Hashable, Sendable, CustomStringConvertible {
  package let description: String

  fileprivate init(_ path: String, _ rule: DaemonSettings.AccessRule, _ what: String) {
    description = "\(path):\(rule.line):\(rule.column): \(what)"
  }
}
