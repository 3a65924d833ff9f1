// `limitctl tenant`: the tenants that the rules in force name.

import ArgumentParser
import LimitAdminModel
import LimitConsole

struct TenantCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tenant",
    abstract: "Shows tenants, and changes what they may do.",
    discussion: """
      What is changed here lies over the policy file, and outlasts restarts and reloads.
      """,
    subcommands: [
      TenantList.self, TenantShow.self, TenantSet.self, TenantUnset.self, TenantBlockCommand.self,
      TenantUnblock.self, TenantReset.self, TenantExport.self, TenantImport.self,
    ]
  )
}

struct TenantList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "Lists the tenants that are named.",
    discussion: "In the order of the policy file. Exit codes: 0 done; 1 error; 3 unreachable."
  )

  @Option(help: ArgumentHelp("Only names that contain this.", valueName: "text"))
  var search = ""

  @Option(help: ArgumentHelp("How many at most, 1 to 1000000.", valueName: "n"))
  var limit = 100

  @OptionGroup var admin: AdminOptions

  func validate() throws {
    guard (1...1_000_000).contains(limit) else {
      throw ValidationError("--limit is a number from 1 to 1000000.")
    }
  }

  func run() throws {
    try admin.run { client, terminal throws(AdminError) in
      let page = try page(client)
      if admin.json {
        guard let text = try? AdminJSON.encode(page) else { throw .unreadable(path: client.path) }
        return CommandResult(output: String(decoding: text, as: UTF8.self) + "\n")
      }
      return CommandResult(output: lines(page, terminal).map { "\($0)\n" }.joined())
    }
  }

  /// As many of the daemon's pages as are wanted, as one.
  private func page(_ client: AdminClient) throws(AdminError) -> TenantPage {
    var all = TenantPage(total: 0, offset: 0, tenants: [])
    repeat {
      let most = min(1000, limit - all.tenants.count)
      let target =
        "/v1/tenants?search=\(AdminClient.escaped(search))"
        + "&offset=\(all.tenants.count)&limit=\(most)"
      let page = try client.get(TenantPage.self, target).value
      all.total = page.total
      all.tenants += page.tenants
      if page.tenants.count < most { break }
    } while all.tenants.count < limit
    return all
  }

  private func lines(_ page: TenantPage, _ terminal: Terminal) -> [String] {
    var table = TextTable(["tenant", "plan", "standing", "own settings"], nameColumns: 3)
    for tenant in page.tenants {
      table.add([
        visible(tenant.tenant), tenant.plan ?? "–", tenant.standing,
        tenant.overrides == 0 ? "–" : grouped(tenant.overrides),
      ])
    }
    var lines = table.isEmpty ? [] : table.lines(for: terminal)
    let shown = page.tenants.count
    lines.append(
      shown < page.total
        ? "\(grouped(shown)) of \(counted(page.total, "tenant")); --limit shows more"
        : counted(page.total, "tenant"))
    return lines
  }
}

struct TenantShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Shows a tenant's limits, and what is left of each.",
    discussion: """
      Also of tenants that are not named. What one key has left, `limitctl explain` shows.

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
        try client.get(TenantDetail.self, "/v1/tenants/\(AdminClient.escaped(tenant))")
      ) { Self.lines($0, terminal) }
    }
  }

  static func lines(_ tenant: TenantDetail, _ terminal: Terminal) -> [String] {
    let origin =
      tenant.isNamed
      ? tenant.line.map { "line \($0)" } ?? "does not name it"
      : tenant.line.map { "not named, hence \"*\" of line \($0)" }
        ?? "not named, and there is no \"*\""
    var rows = [("standing", AdminText.standing(tenant.standing))]
    if let block = tenant.overrides?.block { rows += AdminText.rows(of: block) }
    if let plan = tenant.plan {
      rows.append(("plan", plan + (tenant.overrides?.plan == nil ? "" : ", set at run time")))
    }
    rows.append(("policy file", origin))
    rows.append(("keys", "\(grouped(tenant.liveKeys)) in use"))
    if let counts = tenant.counts {
      rows.append(
        (
          "decisions",
          "\(grouped(counts.allowed)) allowed, \(grouped(counts.denied)) denied, "
            + "\(grouped(counts.never)) never, \(grouped(counts.blocked)) blocked"
        ))
      if counts.softThreshold > 0 {
        rows.append(("soft", "\(grouped(counts.softThreshold)) past a soft threshold"))
      }
      if counts.shadowDenied > 0 {
        rows.append(("shadow", "\(grouped(counts.shadowDenied)) that a shadow limit would deny"))
      }
    }
    var table = TextTable(["limit", "one per", "unit", "left"], nameColumns: 3)
    for limit in tenant.limits {
      table.add([
        AdminText.name(limit.limit, mode: limit.mode),
        limit.scope == "global" ? "host" : limit.scope, limit.unit,
        limit.bucket.map { AdminText.left($0) } ?? "–",
      ])
    }
    let settings = AdminText.settings(
      tenant.limits.map { ($0.limit, $0.mode, $0.parameters) }, terminal)
    return [terminal.styled(visible(tenant.tenant), .heading)] + AdminText.rows(rows) + [""]
      + table.lines(for: terminal) + [""] + settings
  }
}
