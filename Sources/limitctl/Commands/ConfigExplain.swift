// `limitctl config explain FILE TENANT POLICY [--key K]`: what a file does to one tenant's queries.

import ArgumentParser
import Glibc
import LimitConsole
import LimitEngine
import LimitPolicy

struct ConfigExplain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Shows which limits apply to a tenant, and where they were written.",
    discussion: """
      Prints the limits of the policy in its order: the parameters in force, whose bucket is \
      charged, what a query takes from it, and which line of the file each part came from. Exits \
      with 78 where the file has an error, and with 1 where it has no such policy.
      """
  )

  @Flag(help: "Print JSON.")
  var json = false

  @Argument(
    help: "Policy file; '-' is standard input.", completion: .file(extensions: ["yaml", "yml"]))
  var file: String
  @Argument(
    help: "The tenant, named in the file or not.",
    completion: .tenants)
  var tenant: String
  @Argument(
    help: "A policy of the file.",
    completion: .policies)
  var policy: String
  @Option(help: "The key that the query is for.")
  var key: String?

  func run() throws {
    let width = isatty(STDOUT_FILENO) == 1 ? Terminal.standardOutput().width : nil
    try Self.explain(file, tenant: tenant, policy: policy, key: key, asJSON: json, width: width)
      .finish()
  }

  static func explain(
    _ path: String,
    tenant: String,
    policy: String,
    key: String?,
    asJSON json: Bool = false,
    width: Int? = nil
  ) -> CommandResult {
    do throws(PolicyFileError) {
      let file = try PolicyFile.load(naming: path)
      let warnings = file.warnings.map { "\($0)\n" }.joined()
      guard let explanation = file.explain(tenant: tenant, policy: policy) else {
        let names = file.policyNames
        let advice =
          Suggestion.nearest(to: policy, among: names).map { "did you mean '\($0)'?" }
          ?? "it has \(names.joined(separator: ", "))"
        return CommandResult(
          errors: warnings + "\(visible(path)) has no policy '\(visible(policy))'; \(advice)\n",
          exitCode: 1
        )
      }
      let report = ExplanationReport(
        explanation: explanation,
        path: path,
        tenant: tenant,
        policy: policy,
        key: key,
        width: width
      )
      return CommandResult(output: json ? report.json : report.text, errors: warnings)
    } catch {
      return CommandResult(errors: "\(error)\n", exitCode: ConfigCheck.configurationError)
    }
  }
}
