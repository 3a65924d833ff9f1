// What administrators set at run time, over a policy file: other plans and parameters for tenants,
// blocks, other modes for limits. As it was written: whether it fits a file, that file says
// (`PolicyFile.overlaid`). A value: any thread.

package import LimitEngine

/// What is set at run time.
package struct Overlay: Hashable, Sendable {
  /// One parameter of one limit, as in a policy file.
  package struct Setting: Hashable, Sendable {
    package var limit: String
    package var parameter: String
    package var value: String

    package init(limit: String, parameter: String, value: String) {
      self.limit = limit
      self.parameter = parameter
      self.value = value
    }

    /// Whether both are about the same parameter.
    func isSamePlace(as other: Setting) -> Bool {
      limit.hasSameBytes(as: other.limit) && parameter.hasSameBytes(as: other.parameter)
    }
  }

  /// A tenant that is denied everything.
  package struct Block: Hashable, Sendable {
    /// For people: 1 to `reasonBytesMax` bytes without control characters.
    package var reason: String
    /// When it ends, in seconds since 1970; `nil`: when it is lifted.
    package var until: UInt64?

    package static let reasonBytesMax = 500

    package init(reason: String, until: UInt64? = nil) {
      self.reason = reason
      self.until = until
    }

    package func isOver(at now: UInt64) -> Bool { until.map { $0 <= now } ?? false }
  }

  /// What is set for one tenant.
  package struct Tenant: Hashable, Sendable {
    package var plan: String?
    /// By limit and parameter, each once.
    package private(set) var settings: [Setting] = []
    package var block: Block?

    package init(plan: String? = nil, settings: [Setting] = [], block: Block? = nil) {
      self.plan = plan
      self.block = block
      for setting in settings { set(setting) }
    }

    package var isEmpty: Bool { plan == nil && settings.isEmpty && block == nil }

    package mutating func set(_ setting: Setting) {
      settings.removeAll { $0.isSamePlace(as: setting) }
      settings.append(setting)
      settings.sort { ($0.limit, $0.parameter) < ($1.limit, $1.parameter) }
    }

    /// - Parameter parameter: `nil`: all of the limit's.
    package mutating func unset(limit: String, parameter: String?) {
      settings.removeAll {
        $0.limit.hasSameBytes(as: limit)
          && parameter.map($0.parameter.hasSameBytes(as:)) ?? true
      }
    }
  }

  /// What is set for tenants; none of them is empty.
  private(set) var byTenant: [NameBytes: Tenant] = [:]
  /// Modes of limits, by name, for everybody.
  package var modes: [String: LimitMode] = [:]

  package init() {}

  package var isEmpty: Bool { byTenant.isEmpty && modes.isEmpty }

  /// How many tenants something is set for.
  package var tenantCount: Int { byTenant.count }

  /// What is set for a tenant; `nil` where nothing is.
  package subscript(tenant name: String) -> Tenant? {
    get { byTenant[NameBytes(name)] }
    set { byTenant[NameBytes(name)] = newValue?.isEmpty ?? true ? nil : newValue }
  }

  /// The tenants, by the bytes of their names. O(tenants × log tenants).
  package var tenants: [(name: String, value: Tenant)] {
    byTenant.map { ($0.key.text, $0.value) }
      .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  /// When the next block ends, in seconds since 1970. O(tenants).
  package var nextEnd: UInt64? { byTenant.values.lazy.compactMap(\.block?.until).min() }
}
