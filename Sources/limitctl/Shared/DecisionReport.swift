// A decision for people and, with --json, for programs.

import LimitClient
import LimitConsole

/// What `check` and `peek` print. The JSON's members are part of the interface.
struct DecisionReport {
  let decision: LimitDecision
  let query: QueryOptions
  let cost: UInt64
  var terminal = Terminal()

  var outcome: String {
    switch decision.outcome {
    case .allow: "allow"
    case .deny: "deny"
    case .never: "never"
    }
  }

  /// Why it came to that, in a word.
  private var reason: String {
    switch decision.reason {
    case .limit:
      switch decision.outcome {
      case .allow: "within-limits"
      case .deny: "limit-reached"
      case .never: "cost-above-capacity"
      }
    case .blocked: "blocked"
    case .unknownTenant: "unknown-tenant"
    case .unlimited: "unlimited"
    case .daemonAway: "daemon-away"
    default: "other"
    }
  }

  private var flags: [String] {
    let spared = decision.reason == .unlimited ? "beyond" : "shadow"
    let names: [(LimitDecision.Flags, String)] = [
      (.softThreshold, "soft"), (.shadowDenied, spared), (.overflow, "overflow"),
    ]
    return names.filter { decision.flags.contains($0.0) }.map(\.1)
  }

  /// In nanoseconds, 0 where it is allowed; `nil` where no wait is known to help.
  private var retryAfter: UInt64? {
    decision.outcome == .allow ? 0 : decision.retryAfterNanoseconds
  }

  var json: String {
    JSONValue.object([
      ("format", .string("limitctl-decision/1")),
      ("decision", .string(outcome)),
      ("reason", .string(reason)),
      ("limit", decision.limit.map { .string($0) } ?? .null),
      ("unit", decision.limitUnit.map { .string($0) } ?? .null),
      ("capacity", .wideNumber(UInt128(decision.capacity))),
      ("remaining", .wideNumber(UInt128(decision.remaining))),
      ("retry_after_seconds", retryAfter.map { .seconds($0) } ?? .null),
      ("reset_after_seconds", .seconds(decision.resetAfterNanoseconds)),
      ("flags", .array(flags.map { .string($0) })),
      ("would_have_denied", .array(decision.wouldHaveDenied.map { .string($0) })),
      ("receipt", decision.receipt.isEmpty ? .null : .string(decision.receipt.text)),
    ]).text + "\n"
  }

  var text: String {
    let style: Style =
      switch decision.outcome {
      case .allow: .admitted
      case .deny: .refused
      case .never: .never
      }
    var lines = [terminal.styled(outcome, style) + why]
    func line(_ name: String, _ value: String) {
      lines.append("  \(name)\(String(repeating: " ", count: 10 - name.count))\(value)")
    }
    if let limit = decision.limit {
      let unit = decision.limitUnit ?? ""
      line("limit", limit)
      line("remaining", "\(grouped(decision.remaining)) of \(grouped(decision.capacity)) \(unit)")
      if decision.outcome == .deny { line("retry", retry) }
      line("reset", durationText(decision.resetAfterNanoseconds))
    }
    if decision.flags.contains(.softThreshold) { line("soft", "past a soft threshold") }
    if decision.flags.contains(.shadowDenied) {
      let names =
        decision.wouldHaveDenied.isEmpty
        ? "a limit" : decision.wouldHaveDenied.joined(separator: ", ")
      line(decision.reason == .unlimited ? "beyond" : "shadow", "\(names) would have denied")
    }
    if decision.flags.contains(.overflow) { line("overflow", "charged to a wider bucket") }
    if !decision.receipt.isEmpty { line("receipt", decision.receipt.text) }
    return lines.map { "\($0)\n" }.joined()
  }

  private var retry: String {
    retryAfter.map { "in \(durationText($0))" } ?? "when a permit is released"
  }

  /// What is behind the outcome, where no limit is.
  private var why: String {
    switch (decision.outcome, decision.reason) {
    case (_, .blocked): ": the tenant is blocked"
    case (_, .unknownTenant): ": the tenant is unknown"
    case (_, .unlimited): ": the tenant is not limited"
    case (.never, _): ": a cost of \(grouped(cost)) is more than the limit ever holds"
    default: ""
    }
  }

  /// As `json` says or not, with the exit code of the outcome.
  func result(asJSON json: Bool) -> CommandResult {
    CommandResult(
      output: json ? self.json : text, exitCode: decision.isAllowed ? 0 : DaemonExit.denied)
  }
}
