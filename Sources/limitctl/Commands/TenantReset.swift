// `limitctl tenant reset`: buckets as if they had never been used.

import ArgumentParser
import LimitAdminModel
import LimitConsole

struct TenantReset: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reset",
    abstract: "Gives a tenant back all that it has used.",
    discussion: """
      Its own buckets and those of all of its keys, or as far as --limit and --key say. Permits that \
      are held stay held; buckets that everybody shares stay as they are. A power cut within \
      daemon.snapshot-interval may bring back what was used. Asks first, unless --yes is given.

      Exit codes: 0 done; 1 refused; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @Argument(
    help: "The tenant.",
    completion: .tenants)
  var tenant: String

  @Option(
    help: "Only of this limit.",
    completion: .limits)
  var limit: String?

  @Option(help: "Only of this key.")
  var key: String?

  @Flag(help: "Do not ask first.")
  var yes = false

  @Flag(help: "Only count what had been used.")
  var dryRun = false

  @OptionGroup var admin: AdminOptions

  func run() throws {
    let asks = !yes && !dryRun
    if asks { try Confirmation.requireSomebody() }
    try admin.run { client, _ throws(AdminError) in
      if asks {
        let used = Self.line(try reset(client, isDryRun: true).value)
        let question = "Give \(what) all back that was used"
        guard Confirmation.isGiven(to: question, after: [used]) else { return Confirmation.refused }
      }
      return admin.result(try reset(client, isDryRun: dryRun)) { [Self.line($0)] }
    }
  }

  private func reset(
    _ client: AdminClient, isDryRun: Bool
  ) throws(AdminError) -> (value: ResetAnswer, text: String) {
    try client.post(
      ResetAnswer.self, "/v1/tenants/\(AdminClient.escaped(tenant))/reset",
      ResetRequest(limit: limit, key: key, dryRun: isDryRun))
  }

  private static func line(_ answer: ResetAnswer) -> String {
    if answer.buckets == 0 { return "no bucket had been used" }
    let used = "\(counted(answer.buckets, "bucket")) had been used"
    if !answer.isInForce { return used }
    return "\(used), and \(answer.buckets == 1 ? "is" : "are") full"
  }

  private var what: String {
    "\(tenant)" + (key.map { ", key \($0)," } ?? "") + (limit.map { ", limit \($0)," } ?? "")
  }
}
