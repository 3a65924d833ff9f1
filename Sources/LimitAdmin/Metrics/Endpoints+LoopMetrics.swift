// The metrics of what event loops count besides decisions, and of what the tables have no room for.

import LimitEngine
import LimitPolicy
import LimitRuntime

extension Endpoints {
  func addLoops(to text: inout MetricsText) {
    let figures = source.runtime.loopFigures
    text.begin(
      "limitd_decision_duration_seconds", .histogram,
      "Time from reading queries to having sent their replies; of one in eight turns.")
    text.add(buckets: DurationBuckets.bounds, figures.durations, sum: figures.durationSum)
    text.begin("limitd_queue_bytes", .gauge, "Bytes that wait in connections.")
    text.add(figures.requestBytes, [("queue", "requests")])
    text.add(figures.replyBytes, [("queue", "replies")])
    text.begin(
      "limitd_requests_refused_total", .counter,
      "Requests, and items of batches, that were answered with an error.")
    for (number, reason) in source.facts.refusalReasons {
      text.add(figures.refused[Int(number)], [("reason", reason)])
    }
  }

  func addCaps(to text: inout MetricsText) {
    text.begin(
      "limitd_cap_hits_total", .counter,
      "Decisions that found no room for a bucket of their own, by what kept them from it.")
    for scope in [Scope.key, .tenant] {
      for cap in RoomCap.allCases where scope == .key || cap.concernsTenants {
        text.add(
          source.runtime.engine.capHits(scope, cap), [("scope", scope.name), ("cap", cap.name)])
      }
    }
  }
}

extension RoomCap {
  /// Whether buckets of tenants, and not of keys only, may meet it.
  fileprivate var concernsTenants: Bool { self != .tenantKeys && self != .namedShare }

  fileprivate var name: String {
    switch self {
    case .tenantKeys: "tenant_keys"
    case .tenants: "tenants"
    case .guestShare: "guest_share"
    case .namedShare: "named_share"
    case .table: "table"
    }
  }
}
