// `--format json`: the report's content as one JSON document (RFC 8259), for scripts.
//
// The shape is a promise: docs/REPLAY.md describes it, and `format` changes when it does. Counts
// are whole numbers; points in time are RFC 3339 text with nine decimals, since numbers that size
// lose digits in readers that hold them in floating point.

import LimitConsole
import LimitEngine

/// Renders a summary as JSON, members always in the same order.
struct JSONReport {
  private static let formatName = "limitctl-replay/1"

  private let summary: ReplaySummary

  init(_ summary: ReplaySummary) { self.summary = summary }

  var text: String {
    let (tally, options) = (summary.tally, summary.options)
    var members: [(String, JSONValue)] = [
      ("format", .string(Self.formatName)),
      ("config", .string(options.config)),
      ("traces", .array(options.traces.map { .string($0) })),
      ("decided_by", .string(options.live ?? "an engine of replay's own")),
      ("recognised", .array(summary.formats.map { .string($0) })),
      ("is_complete", .boolean(summary.failure == nil)),
      ("error", summary.failure.map { .string($0) } ?? .null),
      ("skipped", .number(summary.badRows)),
      ("cut_lines", .number(summary.cutLines)),
      ("first", tally.timeline.first.map { .string(CalendarTime($0).rfc3339) } ?? .null),
      (
        "last",
        tally.timeline.first.map { _ in
          .string(CalendarTime(tally.timeline.last).rfc3339)
        } ?? .null
      ),
      ("totals", Self.totals(tally)),
      ("tenants", .array(tally.tenantsByRefusals.map { Self.tenant($0) })),
      ("other_tenants", tally.others.rows > 0 ? .object(Self.counts(tally.others)) : .null),
      ("limits", .array(tally.limits.map { Self.limit($0) })),
      ("keys_refused_most", Self.keys(tally.refusedKeys)),
      ("timeline", Self.timeline(tally.timeline)),
      ("concurrency_limits_not_held", .array(summary.concurrencyLimits.map { .string($0) })),
    ]
    if let other = summary.otherTally {
      members.append(("comparison", comparison(with: other)))
    }
    return JSONValue.object(members).text + "\n"
  }

  private static func counts(_ counts: OutcomeCounts) -> [(String, JSONValue)] {
    [
      ("rows", .number(counts.rows)), ("admitted", .number(counts.admitted)),
      ("denied", .number(counts.denied)), ("never", .number(counts.never)),
      ("shadow_denied", .number(counts.shadowDenied)),
      ("beyond_limits", .number(counts.beyond)),
      ("beyond_limits_cost", .wideNumber(counts.beyondCost)),
      ("soft_threshold", .number(counts.softThreshold)), ("overflow", .number(counts.overflow)),
      ("admitted_cost", .wideNumber(counts.admittedCost)),
      ("refused_cost", .wideNumber(counts.refusedCost)),
    ]
  }

  private static func totals(_ tally: Tally) -> JSONValue {
    .object(
      counts(tally.totals) + [
        ("blocked", .number(tally.blocked)), ("unknown_tenant", .number(tally.unknownTenant)),
      ]
    )
  }

  private static func tenant(_ tenant: TenantTally) -> JSONValue {
    let standing =
      switch tenant.standing {
      case .limited: "limited"
      case .unlimited: "unlimited"
      case .blocked: "blocked"
      case .unknown: "unknown"
      }
    return .object(
      [("tenant", .bytes(tenant.name)), ("standing", .string(standing))] + counts(tenant.counts)
    )
  }

  private static func limit(_ limit: LimitTally) -> JSONValue {
    .object([
      ("limit", .string(limit.name)), ("rows", .number(limit.rows)),
      ("admitted", .number(limit.admitted)), ("denied", .number(limit.denied)),
      ("never", .number(limit.never)), ("tightest", .number(limit.tightest)),
      ("shadow_denied", .number(limit.shadowDenied)), ("beyond_limits", .number(limit.beyond)),
    ])
  }

  private static func keys(_ sketch: HeavyHitters) -> JSONValue {
    .array(
      sketch.top(sketch.count).map { entry in
        .object([
          ("tenant", .bytes(entry.tenant)), ("key", .bytes(entry.key)),
          ("refused_at_least", .number(entry.count)),
          ("refused_at_most", .number(entry.count + sketch.error)),
        ])
      }
    )
  }

  private static func timeline(_ timeline: Timeline) -> JSONValue {
    let bins = timeline.bins.enumerated().filter { $1 != Timeline.Bin() }.map { offset, bin in
      let start = (timeline.firstBin + UInt64(offset)) * timeline.width
      return JSONValue.object([
        ("start", .string(CalendarTime(start).rfc3339)), ("admitted", .number(bin.admitted)),
        ("denied", .number(bin.denied)), ("never", .number(bin.never)),
      ])
    }
    return .object([
      ("bin_milliseconds", .number(Int(timeline.width / 1_000_000))), ("bins", .array(bins)),
    ])
  }

  /// What one limit makes different. On the timeline of a comparison, admitted is what only the other
  /// file admits, and denied what only the first does.
  private static func change(_ name: String, _ change: Comparison.Change) -> JSONValue {
    .object([
      ("limit", .string(name)),
      ("admitted_by_other", .number(change.gained)),
      ("admitted_by_other_cost", .wideNumber(change.gainedCost)),
      ("refused_by_other", .number(change.lost)),
      ("refused_by_other_cost", .wideNumber(change.lostCost)),
    ])
  }

  private func comparison(with other: Tally) -> JSONValue {
    let changes = summary.changes
    return .object([
      ("config", .string(summary.options.other ?? "")),
      ("totals", Self.totals(other)),
      ("better_off", .number(changes.count { $0.change > 0 })),
      ("worse_off", .number(changes.count { $0.change < 0 })),
      ("as_before", .number(changes.count { $0.change == 0 })),
      (
        "limits", .array((summary.comparison?.limits ?? []).map { Self.change($0.name, $0.change) })
      ),
      ("timeline", summary.comparison.map { Self.timeline($0.timeline) } ?? .null),
      (
        "tenants",
        .array(
          changes.map { change in
            .object([
              ("tenant", .bytes(change.name)), ("rows", .number(change.rows)),
              ("admitted", .number(change.admitted)),
              ("admitted_by_other", .number(change.admittedByOther)),
              ("change", .number(change.change)),
            ])
          }
        )
      ),
    ])
  }
}
