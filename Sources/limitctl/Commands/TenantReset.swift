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
    completion: .custom { arguments, _, _ in PolicyNames.tenants(for: arguments) })
  var tenant: String

  @Option(help: "Only of this limit.")
  var limit: String?

  @Option(help: "Only of this key.")
  var key: String?

  @Flag(help: "Do not ask first.")
  var yes = false

  @OptionGroup var admin: AdminOptions

  func run() throws {
    if !yes { try Confirmation.requireSomebody() }
    try admin.run { client, _ throws(AdminError) in
      if !yes, !Confirmation.isGiven(to: "Give \(what) all back that was used") {
        return Confirmation.refused
      }
      return admin.result(
        try client.post(
          ResetAnswer.self, "/v1/tenants/\(AdminClient.escaped(tenant))/reset",
          ResetRequest(limit: limit, key: key))
      ) {
        [
          "\(counted($0.buckets, "bucket")) had been used, and \($0.buckets == 1 ? "is" : "are") full"
        ]
      }
    }
  }

  private var what: String {
    "\(tenant)" + (key.map { ", key \($0)," } ?? "") + (limit.map { ", limit \($0)," } ?? "")
  }
}
