// `limitctl limit`: the limits in force.

import ArgumentParser
import LimitAdminModel
import LimitConsole

struct LimitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "limit",
    abstract: "Shows limits, and what they have decided.",
    subcommands: [LimitListCommand.self, LimitShow.self]
  )
}

struct LimitListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "Lists the limits, and what they have decided since the start.",
    discussion: "Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage."
  )

  @OptionGroup var admin: AdminOptions

  func run() throws {
    try admin.run { client, terminal throws(AdminError) in
      admin.result(try client.get(LimitList.self, "/v1/limits")) {
        Self.lines($0.limits, terminal)
      }
    }
  }

  static func lines(_ limits: [LimitSummary], _ terminal: Terminal) -> [String] {
    var table = TextTable(
      ["limit", "setting", "scope", "allowed", "denied"], nameColumns: 3)
    for limit in limits {
      table.add([
        AdminText.name(limit.limit, mode: limit.mode),
        AdminText.setting(limit.parameters), limit.scope, grouped(limit.allowed),
        grouped(limit.denied + limit.never),
      ])
    }
    return table.lines(for: terminal)
  }
}

struct LimitShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Shows one limit.",
    discussion: "Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage."
  )

  @Argument(
    help: "The limit.",
    completion: .limits)
  var limit: String

  @OptionGroup var admin: AdminOptions

  func run() throws {
    try admin.run { client, terminal throws(AdminError) in
      admin.result(
        try client.get(LimitSummary.self, "/v1/limits/\(AdminClient.escaped(limit))")
      ) { Self.lines($0, terminal) }
    }
  }

  static func lines(_ limit: LimitSummary, _ terminal: Terminal) -> [String] {
    func list(_ names: [String]) -> String {
      names.isEmpty ? "none" : names.joined(separator: ", ")
    }
    let rows = [
      ("algorithm", limit.algorithm), ("setting", AdminText.setting(limit.parameters)),
      ("mode", limit.mode == "shadow" ? "shadow: counts, never denies" : limit.mode),
      ("bucket", "one per \(limit.scope == "global" ? "host" : limit.scope)"),
      ("unit", limit.unit), ("policies", list(limit.policies)),
      ("other in", "plans: \(list(limit.plans)); \(counted(limit.tenants, "tenant"))"),
      (
        "decided",
        "\(grouped(limit.allowed)) allowed, \(grouped(limit.denied)) denied, "
          + "\(grouped(limit.never)) never"
      ),
    ]
    return [terminal.styled(limit.limit, .heading)] + AdminText.rows(rows)
  }
}
