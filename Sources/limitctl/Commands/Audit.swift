// `limitctl audit list`: who changed what.

import ArgumentParser
import LimitAdminModel
import LimitConsole

struct AuditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Shows who changed what.",
    subcommands: [AuditList.self]
  )
}

struct AuditList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "Lists the changes that were made, the newest first.",
    discussion: """
      The newest 100,000 are kept. What was refused is in the log.

      Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @Option(
    help: "Only what is about this tenant.",
    completion: .tenants)
  var tenant: String?

  @Option(help: ArgumentHelp("How many at most, 1 to 100000.", valueName: "n"))
  var limit = 20

  @Option(help: ArgumentHelp("Only those with a lower number.", valueName: "number"))
  var before: Int?

  @OptionGroup var admin: AdminOptions

  func validate() throws {
    guard (1...100_000).contains(limit) else {
      throw ValidationError("--limit is a number from 1 to 100000.")
    }
    if let before, before < 1 { throw ValidationError("--before is a number from 1 on.") }
  }

  func run() throws {
    try admin.run { client, terminal throws(AdminError) in
      let page = try page(client)
      if admin.json {
        guard let text = try? AdminJSON.encode(page) else { throw .unreadable(path: client.path) }
        return CommandResult(output: String(decoding: text, as: UTF8.self) + "\n")
      }
      return CommandResult(output: Self.lines(page, terminal).map { "\($0)\n" }.joined())
    }
  }

  /// As many of the daemon's pages as are wanted, as one.
  private func page(_ client: AdminClient) throws(AdminError) -> AuditPage {
    var all = AuditPage(entries: [], nextBefore: before)
    repeat {
      var target = "/v1/audit?limit=\(min(1000, limit - all.entries.count))"
      if let tenant { target += "&tenant=\(AdminClient.escaped(tenant))" }
      if let before = all.nextBefore { target += "&before=\(before)" }
      let page = try client.get(AuditPage.self, target).value
      all.entries += page.entries
      all.nextBefore = page.nextBefore
    } while all.nextBefore != nil && all.entries.count < limit
    return all
  }

  static func lines(_ page: AuditPage, _ terminal: Terminal) -> [String] {
    var lines: [String] = []
    for entry in page.entries {
      let who = visible(entry.author) + (entry.pid.map { ", process \($0)" } ?? "")
      let subject = entry.tenant.map { " \(visible($0))" } ?? entry.limit.map { " \($0)" } ?? ""
      lines.append(
        terminal.styled("\(entry.number)  \(entry.time)  \(entry.action)\(subject)", .heading)
          + "  by \(who)")
      if let from = entry.from { lines.append(terminal.styled("    - \(visible(from))", .refused)) }
      if let to = entry.to { lines.append(terminal.styled("    + \(visible(to))", .admitted)) }
    }
    if lines.isEmpty { lines.append("nothing was changed") }
    if let before = page.nextBefore { lines.append("older ones: --before \(before)") }
    return lines
  }
}
