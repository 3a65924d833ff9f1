// A policy file, read and found good. Immutable: any thread may hold and read it.

import LimitEngine

/// A policy file that was read and found free of errors.
///
/// ```swift
/// let file = try PolicyFile.load(path: "policy.yaml")
/// let policies = file.compile(hashKey: key)
/// ```
///
/// `docs/POLICY.md` describes the format.
public struct PolicyFile: Sendable {
  struct Limit {
    let name: String
    let position: Position
    let algorithm: Algorithm
    let scope: Scope
    let scopePosition: Position
    let unit: String
    /// `nil`: not written, hence `requests`.
    let unitPosition: Position?
    var settings: [Setting]
  }

  struct Policy {
    let name: String
    let position: Position
    /// Places in `limits`, in the order of the policy.
    let limits: [Int]
  }

  struct Plan {
    let name: String
    let position: Position
    /// What it writes about limits, by their places in `limits`.
    var settings: [Int: [Setting]]
  }

  struct Tenant {
    let name: String
    let position: Position
    /// The plan's place in `plans`, and where the tenant names it.
    var plan: (number: Int, position: Position)?
    var standing: Standing
    /// Where `blocked` or `unlimited` is written.
    var standingPosition: Position?
    var overrides: [Override]
    /// What blocks the tenant, where that was set at run time.
    var block: Overlay.Block?
  }

  struct Written {
    let limits: [Limit]
    let plans: [Plan]
    let anyTenant: Tenant?

    /// What a plan writes about a limit.
    func settings(in plan: Int?, of limit: Int) -> [Setting] {
      plan.flatMap { plans[$0].settings[limit] } ?? []
    }
  }

  /// The key in `tenants` that stands for every tenant not named.
  public static let anyTenantName = "*"
  /// The largest file that is read: 256 MiB.
  public static let bytesMax = 256 << 20
  /// The most plans in a file.
  public static let plansMax = 10_000
  /// The most tenants named in a file.
  public static let tenantsMax = 1_000_000

  /// The file, as its path was given.
  public let path: String
  /// The bytes that it was read from, whatever is laid over them.
  package let source: [UInt8]
  /// Stands for these bytes, as a checksum. Never 0.
  package let policyIdentity: UInt64
  /// What is laid over them (`RulesDocument`); empty: nothing that a bucket's words depend on.
  package private(set) var document: [UInt8] = []
  /// Stands for the rules, as a checksum: of `document`, or where that is empty of `source`. Never 0.
  package private(set) var sourceIdentity: UInt64
  /// What may not be meant, in the order of the file.
  public let warnings: [Diagnostic]
  /// What limits, plans and `"*"` say in the file, whatever is laid over it.
  let written: Written
  private(set) var limits: [Limit]
  let policies: [Policy]
  private(set) var plans: [Plan]
  private(set) var tenants: TenantList
  private(set) var anyTenant: Tenant?
  /// The daemon's settings; the defaults where the file has none.
  public var daemon: DaemonSettings
  /// What is laid over the file and is in `document`.
  private(set) var overlay = Overlay()

  init(
    path: String,
    source: [UInt8],
    warnings: [Diagnostic],
    limits: [Limit],
    policies: [Policy],
    plans: [Plan],
    tenants: [Tenant],
    anyTenant: Tenant?,
    daemon: DaemonSettings
  ) {
    self.path = path
    self.source = source
    policyIdentity = Checksum.identity(of: source)
    sourceIdentity = policyIdentity
    self.warnings = warnings
    written = Written(limits: limits, plans: plans, anyTenant: anyTenant)
    self.limits = limits
    self.policies = policies
    self.plans = plans
    self.tenants = TenantList(tenants)
    self.anyTenant = anyTenant
    self.daemon = daemon
  }

  /// This file with what is set at run time laid over it. O(what is set).
  ///
  /// - Parameter applied: what of it is in force, but for blocks.
  func with(
    limits: [Limit], plans: [Plan], tenants: TenantList, anyTenant: Tenant?, applied: Overlay
  ) -> PolicyFile {
    var file = self
    (file.limits, file.plans) = (limits, plans)
    (file.tenants, file.anyTenant) = (tenants, anyTenant)
    file.overlay = applied
    file.document = RulesDocument(policy: policyIdentity, overlay: applied).bytes
    file.sourceIdentity =
      file.document.isEmpty ? policyIdentity : Checksum.identity(of: file.document)
    return file
  }

  /// The limits' names, in the order of the file.
  public var limitNames: [String] { limits.map(\.name) }
  /// The policies' names, in the order of the file.
  public var policyNames: [String] { policies.map(\.name) }
  /// The plans' names, in the order of the file.
  public var planNames: [String] { plans.map(\.name) }
  /// The names of the tenants that are named, in the order of the file.
  public var tenantNames: [String] { tenants.map(\.name) }

  /// What tenants that are not named get, in words.
  public var anyTenantRule: String {
    guard let anyTenant else { return "denied as unknown" }
    switch anyTenant.standing {
    case .blocked: return "blocked"
    case .unlimited: return "unlimited"
    case .limited, .unknown:
      if let plan = anyTenant.plan { return "plan \(plans[plan.number].name)" }
      return "the limits as defined"
    }
  }
}
