// `limitctl why`: the last denials of a tenant.

import ArgumentParser
import LimitAdminModel
import LimitConsole

struct Why: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows a tenant's last denials: which limit, for which key, when, and for how long.",
    discussion: """
      The newest stand first. Of a tenant that is denied very often these are examples; how often, the \
      first line says, and `limitctl metrics`. What is left now, `limitctl explain` shows.

      Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @Argument(
    help: "The tenant.",
    completion: .tenants)
  var tenant: String

  @OptionGroup var admin: AdminOptions

  func run() throws {
    try admin.run { client, terminal throws(AdminError) in
      admin.result(
        try client.get(DenialList.self, "/v1/tenants/\(AdminClient.escaped(tenant))/denials")
      ) { Self.lines($0, terminal) }
    }
  }

  static func lines(_ list: DenialList, _ terminal: Terminal) -> [String] {
    var lines = [terminal.styled(visible(list.tenant), .heading)]
    if list.standing != "limited" { lines.append("  \(AdminText.standing(list.standing))") }
    if let counts = list.counts {
      let denied = counts.denied + counts.never + counts.blocked
      lines.append(
        "  \(grouped(denied)) denied of \(grouped(denied + counts.allowed)) counted under its name")
    }
    guard !list.denials.isEmpty else {
      return lines + ["  no denial is known"]
    }
    var table = TextTable(
      ["ago", "limit", "policy", "key", "cost", "told to wait"], nameColumns: 4)
    for denial in list.denials {
      table.add([
        AdminText.duration(seconds: denial.ageSeconds), visible(reason(denial)),
        visible(denial.policy ?? "–"), denial.key.isEmpty ? "–" : visible(denial.key),
        grouped(denial.cost), wait(denial),
      ])
    }
    return lines + [""] + table.lines(for: terminal)
  }

  private static func reason(_ denial: DenialList.Denial) -> String {
    switch denial.reason {
    case "blocked": "blocked"
    case "unknown_tenant": "unknown tenant"
    default: denial.limit ?? "–"
    }
  }

  private static func wait(_ denial: DenialList.Denial) -> String {
    if denial.outcome == "never" { return "never" }
    return denial.retryAfterSeconds.map { AdminText.duration(seconds: $0) } ?? "–"
  }
}
