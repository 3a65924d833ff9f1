// What goes on: who is denied, by what, and how often.

import FoundationEssentials
import LimitAdminModel
import LimitEngine
import LimitRuntime
import LimitSystem

extension Endpoints {
  func denials(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let name = call.names[0]
    let tenant = try observed(name, call)
    let now = Clock.wallNanoseconds()
    return .now(
      AdminResponse(
        DenialList(
          tenant: name, isNamed: tenant.isNamed, standing: tenant.standing.name,
          counts: CountTotals(source.runtime.counters { $0.tenant == name }).byTenant[name],
          denials: source.monitor.denials(of: tenant).last.reversed().map {
            DenialList.Denial($0, at: now)
          })))
  }
}

extension DenialList.Denial {
  fileprivate init(_ denial: Denial, at now: UInt64) {
    self.init(
      time: Endpoints.time(denial.time), policy: denial.policy, limit: denial.limit,
      key: denial.key, cost: denial.cost, outcome: denial.outcome.name,
      reason: denial.reason.name, retryAfterSeconds: denial.retryAfter.map(Endpoints.seconds),
      ageSeconds: Endpoints.seconds(since: denial.time, until: now))
  }
}

extension Endpoints {
  /// RFC 3339, to the millisecond.
  ///
  /// - Parameter nanoseconds: Unix time.
  static func time(_ nanoseconds: UInt64) -> String {
    Date(timeIntervalSince1970: Double(nanoseconds / 1_000_000) / 1000)
      .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
  }
}

extension Decision.Reason {
  var name: String {
    switch self {
    case .limit, .unlimited: "limit"
    case .blocked: "blocked"
    case .unknownTenant: "unknown_tenant"
    }
  }
}
