// What the engine is asked.

/// "May this tenant do this now, at this cost?"
public struct Query: Hashable, Sendable, BitwiseCopyable {
  public var tenant: Tenant
  /// A policy of the set that the query is decided under.
  public var policy: PolicyIndex
  /// `tenant.fingerprint(ofKey:)` of the subject within the tenant; of no bytes where there is none.
  public var key: Fingerprint
  /// Units asked for. 0 looks without charging.
  public var cost: UInt64

  public init(tenant: Tenant, policy: PolicyIndex, key: Fingerprint, cost: UInt64 = 1) {
    self.tenant = tenant
    self.policy = policy
    self.key = key
    self.cost = cost
  }
}
