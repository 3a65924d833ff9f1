// `limitctl tenant block` and `unblock`: a tenant is denied everything, for a while or until it is lifted.

import ArgumentParser
import LimitAdminModel
import LimitEngine
import LimitPolicy

struct TenantBlockCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "block",
    abstract: "Denies a tenant everything, for a while or until it is unblocked.",
    discussion: """
      In force when it returns, and kept over restarts and reloads. Permits that are held stay \
      held. Asks first, unless --yes is given.

      Exit codes: 0 done; 1 refused, and nothing has changed; 3 the daemon cannot be reached; 64 \
      usage.
      """
  )

  @Argument(
    help: "The tenant, named in the policy file or not.",
    completion: .tenants)
  var tenant: String

  @Option(help: "Why, for those who will ask.")
  var reason: String

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp("How long, such as 30m, 2h or 7d.", valueName: "time"))
  var duration: String?

  @Option(
    help: ArgumentHelp(
      "Until when, such as 2026-12-01T08:00:00Z, or a date for its midnight in UTC.",
      valueName: "time"))
  var until: String?

  @OptionGroup var options: HurtingChangeOptions

  func validate() throws {
    guard duration == nil || until == nil else {
      throw ValidationError("Give --for or --until, not both.")
    }
    _ = try seconds()
  }

  /// How long the block lasts; `nil` where that is not said.
  private func seconds() throws -> Int? {
    guard let duration else { return nil }
    let time: Nanoseconds
    do throws(QuantityError) {
      time = try Quantity.duration(duration)
    } catch {
      throw ValidationError("--for \(error.message)")
    }
    guard time.count >= Nanoseconds.second.count else {
      throw ValidationError("--for is a second at least.")
    }
    // Rounded up: a block is never shorter than was said.
    return Int((time.count - 1) / Nanoseconds.second.count + 1)
  }

  func run() throws {
    var asked = BlockRequest(
      reason: reason, until: until, forSeconds: try seconds(), dryRun: true)
    try options.run("Block \(tenant)") { client, isDryRun throws(AdminError) in
      asked.dryRun = isDryRun
      return try client.ask(
        ChangeAnswer.self, "PUT", "/v1/tenants/\(AdminClient.escaped(tenant))/block", asked)
    }
  }
}

struct TenantUnblock: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unblock",
    abstract: "Lifts a block.",
    discussion: """
      A tenant that the policy file blocks stays blocked.

      Exit codes: 0 done; 1 refused, and nothing has changed; 3 the daemon cannot be reached; 64 \
      usage.
      """
  )

  @Argument(
    help: "The tenant.",
    completion: .tenants)
  var tenant: String

  @OptionGroup var options: ChangeOptions

  func run() throws {
    try options.run { client, isDryRun throws(AdminError) in
      try client.ask(
        ChangeAnswer.self, "DELETE",
        "/v1/tenants/\(AdminClient.escaped(tenant))/block?dry_run=\(isDryRun)")
    }
  }
}
