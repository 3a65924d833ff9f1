// The last denials of each tenant, in bounded memory. A value; whoever has the monitor's lock uses it.

package import LimitEngine

/// One query that was not admitted.
package struct Denial: Sendable {
  /// Unix time, in ns.
  package var time: UInt64
  /// `nil`: of no policy that has counters of its own.
  package var policy: String?
  /// `nil`: no limit was looked at.
  package var limit: String?
  /// Bytes that are no UTF-8 are replaced.
  package var key: String
  package var outcome: Decision.Outcome
  package var reason: Decision.Reason
  package var cost: UInt64
  /// What the caller was told; `nil` where no wait was known to help.
  package var retryAfter: Nanoseconds?
}

/// What is kept of one tenant.
package struct TenantDenials: Sendable {
  /// Of each tenant.
  package static let most = 16

  /// Newest last.
  package fileprivate(set) var last: [Denial] = []

  fileprivate mutating func add(_ denial: Denial) {
    if last.count == Self.most { last.removeFirst() }
    last.append(denial)
  }
}

/// Denials by tenant. Tenants that no rule names cannot make it forget one that is named.
struct DenialLog {
  static let namedMax = 1024
  static let guestsMax = 256

  private var named = RecencyTable<TenantDenials>(capacity: namedMax)
  private var guests = RecencyTable<TenantDenials>(capacity: guestsMax)

  mutating func add(_ denial: Denial, of tenant: Tenant) {
    if tenant.isNamed {
      named.update(tenant.fingerprint, else: { TenantDenials() }) { $0.add(denial) }
    } else {
      guests.update(tenant.fingerprint, else: { TenantDenials() }) { $0.add(denial) }
    }
  }

  /// Of a tenant, whether or not a reload has named it meanwhile.
  func denials(of tenant: Fingerprint) -> TenantDenials {
    var all = guests[tenant] ?? TenantDenials()
    for denial in named[tenant]?.last ?? [] { all.add(denial) }
    return TenantDenials(last: all.last.sorted { $0.time < $1.time })
  }
}
