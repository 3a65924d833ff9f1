// `limitctl shadow`: limits that count, and never deny.

import ArgumentParser
import LimitAdminModel

struct Shadow: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Has a limit count without denying anybody, or deny again.",
    discussion: """
      For everybody, whatever the policy file says of definition, plans and tenants; what `limitctl \
      tenant set` set for a tenant stays. In force when it returns, and kept over restarts and reloads.
      """,
    subcommands: [ShadowOn.self, ShadowOff.self, ShadowUnset.self]
  )
}

struct ShadowOn: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "on",
    abstract: "The limit counts, and denies nobody. Asks first.",
    discussion: "Exit codes: 0 done; 1 refused; 3 the daemon cannot be reached; 64 usage."
  )

  @Argument(
    help: "The limit.",
    completion: .limits)
  var limit: String
  @OptionGroup var options: HurtingChangeOptions

  func run() throws {
    try options.run("Let \(limit) deny nobody") { client, isDryRun throws(AdminError) in
      try Shadow.set("shadow", limit, client, isDryRun)
    }
  }
}

struct ShadowOff: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "off",
    abstract: "The limit denies. Asks first.",
    discussion: "Exit codes: 0 done; 1 refused; 3 the daemon cannot be reached; 64 usage."
  )

  @Argument(
    help: "The limit.",
    completion: .limits)
  var limit: String
  @OptionGroup var options: HurtingChangeOptions

  func run() throws {
    try options.run("Let \(limit) deny") { client, isDryRun throws(AdminError) in
      try Shadow.set("enforce", limit, client, isDryRun)
    }
  }
}

struct ShadowUnset: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unset",
    abstract: "The limit does what the policy file says. Asks first.",
    discussion: "Exit codes: 0 done; 1 refused; 3 the daemon cannot be reached; 64 usage."
  )

  @Argument(
    help: "The limit.",
    completion: .limits)
  var limit: String
  @OptionGroup var options: HurtingChangeOptions

  func run() throws {
    try options.run("Leave \(limit) to the policy file") { client, isDryRun throws(AdminError) in
      try client.ask(
        ChangeAnswer.self, "DELETE", "\(Shadow.path(limit))?dry_run=\(isDryRun)")
    }
  }
}

extension Shadow {
  fileprivate static func path(_ limit: String) -> String {
    "/v1/limits/\(AdminClient.escaped(limit))/mode"
  }

  fileprivate static func set(
    _ mode: String, _ limit: String, _ client: AdminClient, _ isDryRun: Bool
  ) throws(AdminError) -> (value: ChangeAnswer, text: String) {
    try client.ask(
      ChangeAnswer.self, "PUT", path(limit), ModeRequest(mode: mode, dryRun: isDryRun))
  }
}
