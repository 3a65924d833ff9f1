// `GET /metrics`. docs/METRICS.md lists the families.

import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitSystem

extension Endpoints {
  func metrics(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    var text = MetricsText()
    addDaemon(to: &text, call.rulebook)
    addConnections(to: &text)
    addState(to: &text)
    addCaps(to: &text)
    addLoops(to: &text)
    addDecisions(to: &text)
    addCountedPairs(to: &text)
    addTenants(to: &text, call.rulebook)
    return .now(AdminResponse(text: text.text, contentType: MetricsText.contentType))
  }

  private func addDaemon(to text: inout MetricsText, _ rulebook: Rulebook) {
    text.begin("limitd_build_info", .gauge, "The release that runs; always 1.")
    text.add(1, [("version", source.facts.version)])
    text.begin("limitd_uptime_seconds", .gauge, "Time since the daemon started.")
    text.add(
      seconds: Self.seconds(since: source.facts.startedAt, until: Clock.bootNanoseconds()))
    text.begin("limitd_workers", .gauge, "Event loops.")
    text.add(source.facts.workers)
    text.begin("limitd_queries_total", .counter, "Queries decided, peeks included.")
    text.add(source.runtime.decisionCount)
    text.begin("limitd_policy_entries", .gauge, "Entries of the policy file in force.")
    let file = rulebook.file
    text.add(file.limitNames.count, [("kind", "limit")])
    text.add(file.policyNames.count, [("kind", "policy")])
    text.add(file.planNames.count, [("kind", "plan")])
    text.add(file.tenantCount, [("kind", "tenant")])
  }

  private func addConnections(to text: inout MetricsText) {
    let figures = source.figures()
    text.begin("limitd_connections", .gauge, "Connections of clients.")
    text.add(figures.connections)
    text.begin("limitd_connections_max", .gauge, "Connections that clients may have.")
    text.add(figures.connectionsMax)
    text.begin("limitd_connections_refused_total", .counter, "Connections that had no room.")
    text.add(figures.connectionsRefused)
    text.begin("limitd_connection_memory_bytes", .gauge, "Memory that connections hold.")
    text.add(figures.connectionBytes)
    let reloads = figures.reloads
    text.begin("limitd_reloads_total", .counter, "Attempts to reload the policy file.")
    text.add(reloads.successes, [("result", "success")])
    text.add(reloads.failures, [("result", "failure")])
    text.begin("limitd_reload_last_success", .gauge, "Whether the last reload succeeded.")
    text.add(reloads.isLastGood ? 1 : 0)
    if let took = figures.reloadSeconds {
      text.begin("limitd_reload_duration_seconds", .gauge, "Time that the last reload took.")
      text.add(seconds: took)
    }
    text.begin("limitd_rules_age_seconds", .gauge, "Time since the rules in force were loaded.")
    text.add(seconds: reloads.ageSeconds)
    guard let snapshots = figures.snapshots else { return }
    text.begin("limitd_snapshot_failures_total", .counter, "Snapshots that could not be written.")
    text.add(snapshots.failures)
    text.begin("limitd_snapshot_trouble", .gauge, "Whether the last snapshot failed.")
    text.add(snapshots.trouble == nil ? 0 : 1)
    guard let age = snapshots.ageSeconds else { return }
    text.begin("limitd_snapshot_age_seconds", .gauge, "Time since the last snapshot.")
    text.add(seconds: age)
    text.begin("limitd_snapshot_size_bytes", .gauge, "Size of the last snapshot.")
    text.add(snapshots.bytes ?? 0)
    text.begin("limitd_snapshot_duration_seconds", .gauge, "Time that the last snapshot took.")
    text.add(seconds: snapshots.tookSeconds ?? 0)
  }

  private func addState(to text: inout MetricsText) {
    let tables = Scope.allCases.map { ($0.name, source.runtime.engine.occupancy($0)) }
    text.begin("limitd_table_slots", .gauge, "Slots of the tables of buckets.")
    for (name, table) in tables { text.add(table.slots, [("scope", name)]) }
    text.begin("limitd_table_buckets", .gauge, "Buckets that no sweep has freed.")
    for (name, table) in tables { text.add(table.live, [("scope", name)]) }
  }

  private func addDecisions(to text: inout MetricsText) {
    let totals = CountTotals(source.runtime.counters())
    text.begin(
      "limitd_decisions_total", .counter,
      "Decisions, by the limit that decided; without one where the tenant's standing did.")
    for (series, counts) in totals.bySeries {
      let labels = Self.labels(series)
      let results: [(String, UInt64)] =
        series.limit == nil
        ? [("blocked", counts.blocked), ("unknown_tenant", counts.denied)]
        : [("allow", counts.allowed), ("deny", counts.denied), ("never", counts.never)]
      for (result, count) in results where count > 0 {
        text.add(count, labels + [("result", result)])
      }
    }
    let families: [(String, String, KeyPath<Counts, UInt64>)] = [
      ("limitd_units_total", "Units of the queries that were allowed.", \.units),
      ("limitd_soft_threshold_total", "Decisions past a soft threshold.", \.softThreshold),
      (
        "limitd_shadow_denied_total",
        "Decisions that a limit which may not deny would have denied.",
        \.shadowDenied
      ),
    ]
    for (name, help, count) in families {
      text.begin(name, .counter, help)
      for (series, counts) in totals.byPolicy where counts[keyPath: count] > 0 {
        text.add(counts[keyPath: count], Self.labels(series))
      }
    }
    text.begin(
      "limitd_overflow_total", .counter,
      "Decisions by a wider bucket, since there was no room for the limit's own.")
    text.add(totals.overflow)
  }

  private static func labels(_ series: CountTotals.Series) -> [MetricsText.Label] {
    var labels: [MetricsText.Label] = [
      ("tenant", series.tenant ?? CountTotals.others),
      ("policy", series.policy ?? CountTotals.others),
    ]
    if let limit = series.limit { labels.append(("limit", limit)) }
    return labels
  }
}
