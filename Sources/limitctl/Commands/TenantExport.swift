// `limitctl tenant export` and `import`: what is set at run time, as lines of JSON, one per tenant.

import ArgumentParser
import FoundationEssentials
import LimitAdminModel
import LimitConsole

struct TenantExport: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Prints what is set at run time, a line of JSON for each tenant.",
    discussion: """
      Plans, parameters and blocks, by tenant; `limitctl tenant import` takes the same lines.

      Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @OptionGroup var endpoint: AdminEndpointOptions

  @Flag(help: "Print JSON: as without it.")
  var json = false

  func run() throws {
    let result: CommandResult
    do throws(AdminError) {
      result = CommandResult(output: try lines(AdminClient(path: endpoint.path)))
    } catch {
      result = error.result
    }
    try result.finish()
  }

  private func lines(_ client: AdminClient) throws(AdminError) -> String {
    var (text, count) = ("", 0)
    while true {
      let page = try client.get(OverridesPage.self, "/v1/overrides?offset=\(count)&limit=1000")
        .value
      for tenant in page.tenants {
        guard let line = try? AdminJSON.encode(tenant) else { throw .unreadable(path: client.path) }
        text += String(decoding: line, as: UTF8.self) + "\n"
      }
      count += page.tenants.count
      if page.tenants.isEmpty || count >= page.total { return text }
    }
  }
}

struct TenantImport: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Sets what lines of JSON say, for all of their tenants or for none.",
    discussion: """
      Lines are those of `limitctl tenant export`. All that is set for a tenant becomes what its line \
      says; a line with nothing but the tenant leaves it to the policy file. Tenants without a line \
      keep what they have. Shows the difference and asks first, unless --yes is given.

        {"tenant": "acme", "plan": "pro", "settings": [{"limit": "api-burst", "parameter": "rate", \
      "value": "50/s"}]}

      Exit codes: 0 done; 1 refused, and nothing has changed; 3 the daemon cannot be reached; 64 \
      usage.
      """
  )

  @Argument(help: "The lines; '-' is standard input.", completion: .file())
  var file: String

  @OptionGroup var options: HurtingChangeOptions

  func run() throws {
    let tenants = try self.tenants()
    try options.run("Set this") { client, isDryRun throws(AdminError) in
      try client.post(
        ChangeAnswer.self, "/v1/overrides", OverridesImport(tenants: tenants, dryRun: isDryRun))
    }
  }

  private func tenants() throws -> [TenantOverrides] {
    guard
      let text = file == "-" ? standardInput() : try? String(contentsOfFile: file, encoding: .utf8)
    else { throw ValidationError("\(visible(file)) cannot be read as text.") }
    var tenants: [TenantOverrides] = []
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    where !line.allSatisfy(\.isWhitespace) {
      guard let tenant = try? AdminJSON.decode(TenantOverrides.self, from: Data(line.utf8)) else {
        throw ValidationError(
          "\(visible(file)):\(number + 1): no line of `limitctl tenant export`; nothing is changed."
        )
      }
      tenants.append(tenant)
    }
    return tenants
  }

  private func standardInput() -> String {
    var text = ""
    while let line = readLine(strippingNewline: false) { text += line }
    return text
  }
}
