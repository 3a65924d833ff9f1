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

extension Endpoints {
  /// Entries of each list.
  private static let topMax = 100

  func top(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: ["limit", "sort"])
    let most = try call.request.number("limit", in: 1...Self.topMax, else: 20)
    let order = call.request.parameters["sort"] ?? "denied"
    guard ["denied", "queries"].contains(order) else {
      throw .badRequest("sort is denied or queries")
    }
    let report = source.monitor.activity()
    func first(_ entries: [ActivityEntry]) -> [TopList.Entry] {
      let all = entries.map {
        TopList.Entry(tenant: $0.tenant, key: $0.key, allowed: $0.allowed, denied: $0.denied)
      }
      return Array(all.sorted(by: TopList.isBefore(order)).prefix(most))
    }
    let limits = report.counted.byLimit.map {
      TopList.LimitEntry(limit: $0.key, allowed: $0.value.allowed, denied: $0.value.denied)
    }
    return .now(
      AdminResponse(
        TopList(
          overSeconds: Self.seconds(Nanoseconds(report.span)),
          decisions: source.runtime.decisionCount, allowed: report.counted.all.allowed,
          denied: report.counted.all.denied, tenants: first(report.tenants),
          keys: first(report.keys),
          limits: Array(
            limits.filter { $0.allowed + $0.denied > 0 }.sorted(by: TopList.isBefore(order))
              .prefix(most)))))
  }
}

/// What became of the queries of somebody, with a name to tell equals by.
private protocol Ranked {
  var allowed: UInt64 { get }
  var denied: UInt64 { get }
  var rankedName: String { get }
}

extension TopList.Entry: Ranked {
  fileprivate var rankedName: String { "\(tenant) \(key ?? "")" }
}

extension TopList.LimitEntry: Ranked {
  fileprivate var rankedName: String { limit }
}

extension TopList {
  /// Those denied most first, or those asked for most; the other figure, then the name, among equals.
  fileprivate static func isBefore<Entry: Ranked>(_ order: String) -> (Entry, Entry) -> Bool {
    { left, right in
      let (ours, theirs) = (left.allowed + left.denied, right.allowed + right.denied)
      let isByDenied = order == "denied"
      let (first, other) = isByDenied ? (left.denied, right.denied) : (ours, theirs)
      if first != other { return first > other }
      let (second, otherSecond) = isByDenied ? (ours, theirs) : (left.denied, right.denied)
      if second != otherSecond { return second > otherSecond }
      return left.rankedName < right.rankedName
    }
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
