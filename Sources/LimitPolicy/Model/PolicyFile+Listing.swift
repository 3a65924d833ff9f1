// What a policy file has, one entry at a time, as the file would write it: for lists that people read.
// Values and pure functions.

public import LimitEngine

/// A limit as it is defined.
public struct LimitEntry: Sendable {
  public let name: String
  public let line: Int
  /// As the file names it.
  public let algorithm: String
  public let scope: String
  public let unit: String
  public let mode: LimitMode
  /// Names and values of what is written under the limit, such as `rate` and `100/s`.
  public let parameters: [(name: String, value: String)]
  /// The policies that list it, in the order of the file.
  public let policies: [String]
  /// The plans that write something of their own about it.
  public let plans: [String]
  /// How many tenants do.
  public let tenantCount: Int
}

/// A tenant that the file names.
public struct TenantEntry: Sendable {
  public let name: String
  /// `nil`: the file does not name the tenant, what is set at run time does.
  public let line: Int?
  public let standing: Standing
  public let plan: String?
  /// What the tenant's own entry writes about limits.
  public let overrides: [(limit: String, parameter: String, value: String)]
  /// What blocks it, where that was set at run time.
  package let block: Overlay.Block?
}

extension PolicyFile {
  /// The limits, in the order of the file. O(limits × plans + tenants' overrides).
  public var limitEntries: [LimitEntry] {
    var tenantCounts = [Int](repeating: 0, count: limits.count)
    for tenant in tenants { for override in tenant.overrides { tenantCounts[override.limit] += 1 } }
    return limits.enumerated().map { number, limit in
      LimitEntry(
        name: limit.name, line: Int(limit.position.line), algorithm: limit.algorithm.name,
        scope: limit.scope.name, unit: limit.unit,
        mode: EffectiveParameters(limit.settings).mode ?? .enforce,
        parameters: limit.settings.map { ($0.parameter.rawValue, $0.text) },
        policies: policies.filter { $0.limits.contains(number) }.map(\.name),
        plans: plans.filter { $0.settings[number] != nil }.map(\.name),
        tenantCount: tenantCounts[number])
    }
  }

  /// How many tenants the file names.
  public var tenantCount: Int { tenants.count }

  /// Some of the tenants that are named, in the order of the file.
  ///
  /// O(tenants), or where all are asked for O(those that are given).
  /// - Parameters:
  ///   - text: what their names contain, in any case of ASCII letters; empty: all.
  ///   - place: how many of those to leave out at the front.
  ///   - most: how many at most.
  /// - Returns: them, and how many there are of those in all.
  public func tenantEntries(containing text: String, from place: Int, atMost most: Int)
    -> (entries: [TenantEntry], total: Int)
  {
    if text.isEmpty {
      let places = min(place, tenants.count)..<min(place + most, tenants.count)
      return (places.map { entry(of: tenants[$0]) }, tenants.count)
    }
    let wanted = Array(text.utf8.map(\.lowercasedASCII))
    var entries: [TenantEntry] = []
    var total = 0
    for tenant in tenants where tenant.name.contains(lowercased: wanted) {
      if total >= place, entries.count < most { entries.append(entry(of: tenant)) }
      total += 1
    }
    return (entries, total)
  }

  /// The tenant of that name; `nil` where the file does not name it. Expected O(1), and
  /// O(tenants that only what is set at run time names) for these.
  public func tenantEntry(named name: String) -> TenantEntry? {
    tenants.place(named: name).map { entry(of: tenants[$0]) }
  }

  /// What tenants get that are not named; `nil` where they are unknown.
  public var anyTenantEntry: TenantEntry? { anyTenant.map { entry(of: $0) } }

  private func entry(of tenant: Tenant) -> TenantEntry {
    TenantEntry(
      name: tenant.name, line: tenant.position.fileLine, standing: tenant.standing,
      plan: tenant.plan.map { plans[$0.number].name },
      overrides: tenant.overrides.flatMap { override in
        override.settings.map { (limits[override.limit].name, $0.parameter.rawValue, $0.text) }
      }, block: tenant.block)
  }
}

extension UInt8 {
  fileprivate var lowercasedASCII: UInt8 {
    UInt8(ascii: "A")...UInt8(ascii: "Z") ~= self ? self | 0x20 : self
  }
}

extension String {
  /// O(bytes of both).
  fileprivate func contains(lowercased wanted: [UInt8]) -> Bool {
    var text = self
    return text.withUTF8 { bytes in
      guard bytes.count >= wanted.count else { return false }
      return (0...bytes.count - wanted.count).contains { start in
        wanted.indices.allSatisfy { bytes[start + $0].lowercasedASCII == wanted[$0] }
      }
    }
  }
}
