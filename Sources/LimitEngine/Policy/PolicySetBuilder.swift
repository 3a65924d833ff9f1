// How a policy set is put together: by the YAML loader, by tests, by benchmarks.
//
// The builder checks what would break the engine (its preconditions say so) and nothing else;
// messages for people, with file and line, are LimitPolicy's work.

/// Collects limits, policies and tenants, and compiles them into a `PolicySet`.
///
/// ```swift
/// var builder = PolicySetBuilder()
/// let burst = builder.addLimit(LimitDefinition(name: "api-burst", scope: .tenant, settings: …))
/// builder.addPolicy(named: "gateway", limits: [burst])
/// builder.anyTenant = .init(standing: .limited, row: .base)
/// let policies = builder.build(hashKey: key)
/// ```
public struct PolicySetBuilder: Sendable {
  /// A set of settings, one for each limit: the base definitions, a plan, or a tenant's own.
  public struct Row: Hashable, Sendable {
    let index: Int

    /// Every limit as defined.
    public static var base: Row { Row(index: 0) }
  }

  /// How a tenant is treated.
  public struct Treatment: Hashable, Sendable {
    public var standing: Standing
    public var row: Row

    public init(standing: Standing = .limited, row: Row = .base) {
      self.standing = standing
      self.row = row
    }
  }

  /// The most limits that one policy may list: a receipt has a bit for each.
  public static let limitsPerPolicyMax = 16
  /// The most concurrency limits that one policy may list: a permit has a place for each.
  public static let concurrencyLimitsPerPolicyMax = 4
  /// The most limits, and the most policies, in a set.
  public static let limitsMax = 1024

  /// What becomes of tenants that are not named. `nil`: they are denied as unknown.
  public var anyTenant: Treatment?

  /// Stands for what the set is made from, as a checksum of a file; 0: not known. Rules that outlive
  /// the process are found again by it.
  public var source: UInt64 = 0

  /// Modes that are in force for everybody, whatever settings say that are not a tenant's own
  /// (`LimitSettings.isModeOwn`).
  public var modes: [LimitIndex: LimitMode] = [:]

  var limits: [LimitDefinition] = []
  var policies: [(name: String, limits: [LimitIndex])] = []
  /// Per row beyond the base, what differs from the row it is based on.
  var rows: [(basedOn: Int, overrides: [(LimitIndex, LimitSettings)])] = []
  var tenants: [(name: String, treatment: Treatment)] = []

  public init() {}

  /// Adds a limit. Names are unique; at most `limitsMax` limits.
  public mutating func addLimit(_ definition: LimitDefinition) -> LimitIndex {
    precondition(limits.count < Self.limitsMax, "a policy set holds at most 1024 limits")
    limits.append(definition)
    return LimitIndex(UInt16(limits.count - 1))
  }

  /// Adds a policy: the limits that a query is decided against, all or nothing.
  ///
  /// - Precondition: a name of its own; 1 ... `limitsPerPolicyMax` different limits, of which at
  ///   most `concurrencyLimitsPerPolicyMax` are concurrency limits, and in no more than one unit
  ///   besides `requests`.
  @discardableResult public mutating func addPolicy(named name: String, limits list: [LimitIndex])
    -> PolicyIndex
  {
    precondition((1...Self.limitsPerPolicyMax).contains(list.count), "1 to 16 limits per policy")
    precondition(Set(list).count == list.count, "a policy lists a limit once")
    let definitions = list.map { limits[Int($0.rawValue)] }
    precondition(
      definitions.count { $0.settings.parameters.algorithm == .concurrency }
        <= Self.concurrencyLimitsPerPolicyMax, "at most 4 concurrency limits per policy")
    precondition(
      Set(definitions.map(\.unit)).subtracting([LimitDefinition.requests]).count <= 1,
      "a query has one cost, so a policy counts in one unit besides requests")
    precondition(policies.count < Self.limitsMax, "a policy set holds at most 1024 policies")
    precondition(!policies.contains { $0.name == name }, "a policy's name is its own")
    policies.append((name, list))
    return PolicyIndex(UInt16(policies.count - 1))
  }

  /// Adds a set of settings that differs from `row` in `overrides`. Add all limits first.
  ///
  /// - Precondition: an override has the algorithm of the limit that it overrides, and, where that is
  ///   global, its parameters: everybody's bucket is the same for all.
  public mutating func addRow(basedOn row: Row, overrides: [(LimitIndex, LimitSettings)]) -> Row {
    for (limit, settings) in overrides {
      precondition(
        settings.parameters.algorithm == limits[Int(limit.rawValue)].settings.parameters.algorithm,
        "an override keeps the limit's algorithm")
      precondition(
        limits[Int(limit.rawValue)].scope != .global
          || settings.parameters == limits[Int(limit.rawValue)].settings.parameters,
        "a global limit has the same parameters for all")
    }
    rows.append((row.index, overrides))
    return Row(index: rows.count)
  }

  /// Names a tenant. A name is added once.
  public mutating func addTenant(named name: String, _ treatment: Treatment) {
    tenants.append((name, treatment))
  }
}
