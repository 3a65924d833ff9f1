// `limitctl reload`: what differs in the policy file, and then puts it in force.

import ArgumentParser
import Glibc
import LimitAdminModel
import LimitConsole

struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Puts the policy file in force, and shows what that changes.",
    discussion: """
      The daemon reads its own file. Where the file has an error, the rules before stay in force. \
      Buckets keep what was used of them. Settings under `daemon` need a restart, and are not shown. At a \
      terminal, where there is a difference, it is shown first and asked about, unless --yes is given.

      Exit codes: 0 done; 1 refused, and nothing has changed; 3 the daemon cannot be reached; 64 \
      usage.
      """
  )

  @Flag(help: "Only show what would change.")
  var dryRun = false

  @Flag(help: "Do not ask first.")
  var yes = false

  @OptionGroup var admin: AdminOptions

  func run() throws {
    try admin.run { client, terminal throws(AdminError) in
      if !dryRun, !yes, isatty(STDIN_FILENO) == 1 {
        let planned = try client.post(
          ReloadAnswer.self, "/v1/reload", ReloadRequest(dryRun: true)
        ).value
        let lines = AdminText.differences(
          planned.differences, of: planned.differenceCount, terminal)
        if !lines.isEmpty, !Confirmation.isGiven(to: "Put this in force", after: lines) {
          return Confirmation.refused
        }
      }
      let answer = try client.post(
        ReloadAnswer.self, "/v1/reload", ReloadRequest(dryRun: dryRun))
      return admin.result(answer) { Self.lines($0, terminal) }
    }
  }

  static func lines(_ answer: ReloadAnswer, _ terminal: Terminal) -> [String] {
    var lines = AdminText.differences(
      answer.differences, of: answer.differenceCount, terminal)
    lines += answer.warnings.map { "warning: \(visible($0))" }
    let count =
      answer.differenceCount == 0
      ? "no difference" : counted(answer.differenceCount, "difference")
    lines.append(
      answer.isInForce
        ? "\(answer.configPath) is in force: \(count) to the rules before"
        : "\(answer.configPath): \(count) to the rules in force; nothing is changed")
    return lines
  }
}
