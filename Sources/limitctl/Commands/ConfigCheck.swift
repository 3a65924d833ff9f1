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
      otherwise prints a summary of each file and exits with 0. With --against, also lists the \
      limits whose buckets would begin anew if the daemon went over from OLD to the file.
      """
  )

  @Argument(help: "Policy files.", completion: .file(extensions: ["yaml", "yml"]))
  var files: [String]

  @Option(
    help: ArgumentHelp("The file that is in force now.", valueName: "old"),
    completion: .file(extensions: ["yaml", "yml"]))
  var against: String?

  func run() throws { try Self.check(files, against: against).finish() }

  static func check(_ files: [String], against old: String? = nil) -> CommandResult {
    var result = CommandResult()
    var before: [LimitDefinition] = []
    if let old {
      do throws(PolicyFileError) {
        before = try PolicyFile.load(path: old).compile(hashKey: HashKey(low: 0, high: 0)).limits
      } catch {
        return CommandResult(errors: "\(error)\n", exitCode: configurationError)
      }
    }
    for path in files {
      do throws(PolicyFileError) {
        let file = try PolicyFile.load(path: path)
        result.errors += file.warnings.map { "\($0)\n" }.joined()
        // A file that is found good is one that the engine takes: have it taken.
        let policies = file.compile(hashKey: HashKey(low: 0, high: 0))
        result.output += summary(of: file, policies)
        if old != nil { result.output += changes(from: before, to: policies.limits, path) }
      } catch {
        result.errors += "\(error)\n"
        result.exitCode = configurationError
      }
    }
    return result
  }

  /// The limits that are other limits in another file: a name, an algorithm or a scope has changed.
  private static func changes(
    from before: [LimitDefinition], to after: [LimitDefinition], _ path: String
  ) -> String {
    let old = Dictionary(before.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let names = Set(after.map(\.name))
    var lines: [String] = []
    for limit in after {
      guard let was = old[limit.name] else {
        lines.append("limit '\(limit.name)': new; its buckets begin full")
        continue
      }
      let (from, to) = (was.settings.parameters.algorithm, limit.settings.parameters.algorithm)
      if from != to {
        lines.append(
          "limit '\(limit.name)': \(from.word) becomes \(to.word); its buckets begin anew")
      } else if was.scope != limit.scope {
        lines.append(
          "limit '\(limit.name)': scope \(was.scope) becomes \(limit.scope); its buckets begin anew"
        )
      }
    }
    for limit in before where !names.contains(limit.name) {
      lines.append("limit '\(limit.name)': gone, with its buckets")
    }
    return lines.map { "\(path): \($0)\n" }.joined()
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

extension Algorithm {
  /// As the policy file writes it.
  fileprivate var word: String {
    switch self {
    case .tokenBucket: "token-bucket"
    case .slidingWindow: "sliding-window"
    case .concurrency: "concurrency"
    }
  }
}
