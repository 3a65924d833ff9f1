// `limitctl status`: how the daemon does.

import ArgumentParser
import LimitAdminModel
import LimitConsole

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows how the daemon does.",
    discussion: "Exit codes: 0 it serves; 1 error; 3 it cannot be reached; 64 usage."
  )

  @OptionGroup var admin: AdminOptions

  func run() throws {
    try admin.run { client, terminal throws(AdminError) in
      admin.result(try client.get(DaemonStatus.self, "/v1/status")) {
        Self.lines($0, terminal)
      }
    }
  }

  static func lines(_ status: DaemonStatus, _ terminal: Terminal) -> [String] {
    let age = AdminText.duration(seconds: status.reloads.ageSeconds)
    let heading =
      "limitd \(status.version), up "
      + "\(AdminText.duration(seconds: status.uptimeSeconds)), process \(status.pid)"
    let rules = [
      counted(status.limits, "limit"), "\(grouped(status.policies)) policies",
      counted(status.plans, "plan"), counted(status.namedTenants, "named tenant"),
    ]
    var rows = [
      ("rules", "\(status.configPath), loaded \(age) ago"),
      ("", rules.joined(separator: ", ")),
      ("", "other tenants: \(status.otherTenants)"),
      ("socket", status.socketPath ?? "passed by systemd"),
      ("state", status.stateDirectory),
      ("workers", grouped(status.workers)),
      ("decisions", grouped(status.decisions)),
      (
        "connections",
        "\(grouped(status.connections)) of \(grouped(status.connectionsMax)), "
          + "\(AdminText.bytes(status.connectionBytes)); "
          + "\(grouped(status.connectionsRefused)) refused"
      ),
      ("reloads", Self.reloads(status.reloads)),
    ]
    rows.append(("snapshots", Self.snapshots(status.snapshots)))
    rows.append(("you may", status.roles.joined(separator: ", ")))
    var table = TextTable(["buckets of", "live", "room", "full"])
    for entry in status.tables {
      table.add([
        entry.scope == "key" ? "keys" : entry.scope == "tenant" ? "tenants" : "everybody",
        grouped(entry.live), grouped(entry.slots), percentage(entry.live, of: entry.slots),
      ])
    }
    return [terminal.styled(heading, .heading)] + AdminText.rows(rows) + [""]
      + table.lines(for: terminal)
  }

  private static func reloads(_ reloads: DaemonStatus.Reloads) -> String {
    if reloads.successes + reloads.failures == 0 { return "none since the start" }
    return "\(grouped(reloads.successes)) good, \(grouped(reloads.failures)) failed"
      + (reloads.isLastGood ? "" : "; the last one failed")
  }

  private static func snapshots(_ snapshots: DaemonStatus.Snapshots?) -> String {
    guard let snapshots else { return "none are written" }
    if let trouble = snapshots.trouble { return "failing: \(trouble)" }
    guard let age = snapshots.ageSeconds else { return "none yet since the start" }
    return "\(AdminText.duration(seconds: age)) ago, "
      + "\(counted(snapshots.buckets ?? 0, "bucket")), \(AdminText.bytes(snapshots.bytes ?? 0)) in "
      + AdminText.duration(seconds: snapshots.tookSeconds ?? 0)
  }
}
