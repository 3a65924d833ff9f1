// Who may do what: `daemon.access`, made ready for connections.

import Glibc
import LimitEngine
import LimitPolicy
import LimitProtocol

/// Who connected, as the kernel says (SO_PEERCRED, SO_PEERGROUPS); fixed at connect.
struct Peer: Hashable, Sendable {
  var processID: Int32
  var userID: UInt32
  /// The primary group first.
  var groupIDs: [UInt32]
}

/// What one peer may do.
struct PeerAccess: Sendable {
  /// For every tenant.
  var everywhere: PeerRoles = []
  /// Beyond that, for single tenants.
  var byTenant: [Fingerprint: PeerRoles] = [:]

  @inline(__always) func roles(for tenant: Tenant) -> PeerRoles {
    byTenant.isEmpty
      ? everywhere : everywhere.union(byTenant[tenant.fingerprint] ?? [])
  }

  /// For any tenant at all: what the reply to hello shows.
  var anywhere: PeerRoles { byTenant.values.reduce(everywhere) { $0.union($1) } }
}

/// The access rules of one configuration. Immutable: any thread may ask.
struct Access: Sendable {
  private struct Rule {
    let userID: UInt32?
    let groupID: UInt32?
    let roles: PeerRoles
    let tenants: [Fingerprint]?
  }

  /// `nil`: whoever may open the socket may query and settle.
  private let rules: [Rule]?
  /// The daemon's own user, who like root may do everything.
  private let ownUserID: UInt32

  /// - Throws: a user or group that this host does not have, with its place in the file.
  init(_ rules: [DaemonSettings.AccessRule]?, policies: PolicySet, path: String)
    throws(ServerError)
  {
    ownUserID = geteuid()
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
          throw .unknownName(
            path, rule.line, rule.column, "there is no user '\(name)' on this host")
        }
        userID = number
      case .group(let name):
        guard let number = Self.groupID(named: name) else {
          throw .unknownName(
            path, rule.line, rule.column, "there is no group '\(name)' on this host")
        }
        groupID = number
      }
      resolved.append(
        Rule(
          userID: userID, groupID: groupID, roles: PeerRoles(rawValue: rule.roles.rawValue),
          tenants: rule.tenants?.map { policies.tenant(named: $0).fingerprint }))
    }
    self.rules = resolved
  }

  static func groupID(named name: String) -> UInt32? { getgrnam(name)?.pointee.gr_gid }

  /// What a peer may do: what all rules that match it allow, together. O(rules × groups).
  func resolve(_ peer: Peer) -> PeerAccess {
    if peer.userID == 0 || peer.userID == ownUserID {
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
