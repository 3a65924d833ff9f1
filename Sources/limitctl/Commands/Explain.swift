// `limitctl explain TENANT POLICY`: what applies, from where, and what is in each bucket now.

import ArgumentParser
import LimitAdminModel
import LimitConsole

struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows which limits apply, where they come from, and what is left of each.",
    discussion: """
      Asks the running daemon and takes nothing. What a policy file would do, `limitctl config \
      explain` shows.

      Exit codes: 0 the query would be allowed; 1 error; 2 it would be denied; 3 the daemon cannot \
      be reached; 64 usage.
      """
  )

  @OptionGroup var query: QueryOptions
  @OptionGroup var admin: AdminOptions

  func run() throws {
    let cost = try query.units()
    try admin.run { client, terminal throws(AdminError) in
      let request = PeekRequest(
        tenant: query.tenant, policy: query.policy, key: query.key, cost: cost)
      let answer = try client.post(PeekAnswer.self, "/v1/peek", request)
      var result = admin.result(answer) { Self.lines($0, terminal) }
      result.exitCode = answer.value.outcome == "allow" ? 0 : DaemonExit.denied
      return result
    }
  }

  static func lines(_ answer: PeekAnswer, _ terminal: Terminal) -> [String] {
    var rows = [("tenant", visible(answer.tenant) + (answer.isNamed ? "" : ", not named"))]
    if answer.standing != "limited" { rows.append(("", AdminText.standing(answer.standing))) }
    if let block = answer.block { rows += AdminText.rows(of: block) }
    if let plan = answer.plan { rows.append(("plan", plan)) }
    rows.append(("policy", answer.policy))
    if !answer.key.isEmpty { rows.append(("key", visible(answer.key))) }
    rows.append(("cost", grouped(answer.cost)))
    let style: Style =
      answer.outcome == "allow" ? .admitted : answer.outcome == "deny" ? .refused : .never
    var lines = [terminal.styled(answer.outcome, style) + decider(answer)]
    lines += AdminText.rows(rows)
    guard !answer.limits.isEmpty else { return lines }
    var table = TextTable(["limit", "one per", "takes", "left", "says"], nameColumns: 2)
    for limit in answer.limits {
      table.add([
        AdminText.name(limit.limit, mode: limit.mode),
        limit.scope == "global" ? "host" : limit.scope, grouped(limit.cost),
        AdminText.left(limit.bucket), says(limit),
      ])
    }
    let settings = AdminText.settings(
      answer.limits.map { ($0.limit, $0.mode, $0.parameters) }, terminal)
    return lines + [""] + table.lines(for: terminal) + [""] + settings
  }

  private static func decider(_ answer: PeekAnswer) -> String {
    guard let limit = answer.decidedBy else { return ": the tenant is \(answer.standing)" }
    return answer.outcome == "allow" ? "" : ": \(limit)"
  }

  private static func says(_ limit: PeekAnswer.Limit) -> String {
    guard limit.outcome == "deny" else { return limit.outcome }
    guard let wait = limit.retryAfterSeconds else { return "deny" }
    return "deny for \(AdminText.duration(seconds: wait))"
  }
}
