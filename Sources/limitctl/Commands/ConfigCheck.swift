// `limitctl config check FILE…`: says everything that is wrong with policy files.

import ArgumentParser
import LimitConsole
import LimitEngine
import LimitPolicy

struct ConfigCheck: ParsableCommand {
  /// EX_CONFIG of sysexits.h: what scripts and unit files look for.
  static let configurationError: Int32 = 78

  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Checks policy files.",
    discussion: """
      Prints every error and warning of every file on standard error, as \
      file:line:column: what, and what would be right. Exits with 78 where a file has an error; \
      otherwise prints a summary of each file and exits with 0.
      """
  )

  @Argument(help: "Policy files.", completion: .file(extensions: ["yaml", "yml"]))
  var files: [String]

  func run() throws { try Self.check(files).finish() }

  static func check(_ files: [String]) -> CommandResult {
    var result = CommandResult()
    for path in files {
      do throws(PolicyFileError) {
        let file = try PolicyFile.load(path: path)
        result.errors += file.warnings.map { "\($0)\n" }.joined()
        // A file that is found good is one that the engine takes: have it taken.
        let policies = file.compile(hashKey: HashKey(low: 0, high: 0))
        result.output += summary(of: file, policies)
      } catch {
        result.errors += "\(error)\n"
        result.exitCode = configurationError
      }
    }
    return result
  }

  private static func summary(of file: PolicyFile, _ policies: PolicySet) -> String {
    let counts = [
      counted(file.limitNames.count, "limit", "limits"),
      counted(file.policyNames.count, "policy", "policies"),
      counted(file.planNames.count, "plan", "plans"),
      counted(policies.namedTenantCount, "tenant named", "tenants named"),
    ]
    return "\(file.path): \(counts.joined(separator: ", ")); other tenants: "
      + "\(file.anyTenantRule)\n"
  }

  private static func counted(_ count: Int, _ one: String, _ many: String) -> String {
    "\(Quantity.text(count: UInt64(count))) \(count == 1 ? one : many)"
  }
}
