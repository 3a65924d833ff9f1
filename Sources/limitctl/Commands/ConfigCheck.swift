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
      Prints errors and warnings on standard error, as file:line:column: what, and what would be \
      right; the first 20 of a file and how many more there are. '-' is standard input. Exits with \
      78 where a file has an error; otherwise prints a summary of each file and exits with 0. With \
      --against, also lists the limits whose buckets would begin anew if the daemon went over from \
      OLD to the file. With --json everything goes to standard output, all diagnostics of all files.
      """
  )

  @Flag(help: "Print JSON.")
  var json = false

  @Argument(
    help: "Policy files; '-' is standard input.", completion: .file(extensions: ["yaml", "yml"]))
  var files: [String]

  @Option(
    help: ArgumentHelp("The file that is in force now.", valueName: "old"),
    completion: .file(extensions: ["yaml", "yml"]))
  var against: String?

  func run() throws { try Self.check(files, against: against, asJSON: json).finish() }

  static func check(
    _ files: [String], against old: String? = nil, asJSON json: Bool = false
  ) -> CommandResult {
    var result = CommandResult()
    var reports: [JSONValue] = []
    var before: [LimitDefinition]?
    if let old {
      do throws(PolicyFileError) {
        before = try PolicyFile.load(naming: old).compile(hashKey: HashKey(low: 0, high: 0)).limits
      } catch {
        return CommandResult(errors: "\(error)\n", exitCode: configurationError)
      }
    }
    for path in files {
      do throws(PolicyFileError) {
        let file = try PolicyFile.load(naming: path)
        result.errors += file.warnings.map { "\($0)\n" }.joined()
        // A file that is found good is one that the engine takes: have it taken.
        let policies = file.compile(hashKey: HashKey(low: 0, high: 0))
        result.output += summary(of: file, policies)
        let changes = before.map { Self.changes(from: $0, to: policies.limits) }
        for change in changes ?? [] { result.output += "\(visible(path)): \(change)\n" }
        reports.append(report(path, file.warnings, counts(of: file, policies), changes))
      } catch {
        result.errors += "\(error)\n"
        result.exitCode = configurationError
        reports.append(report(path, error.diagnostics, nil, nil))
      }
    }
    guard json else { return result }
    let document = JSONValue.object([
      ("format", .string("limitctl-config-check/1")), ("files", .array(reports)),
    ])
    return CommandResult(output: document.text + "\n", exitCode: result.exitCode)
  }

  private static func counts(
    of file: PolicyFile, _ policies: PolicySet
  ) -> [(one: String, many: String, count: Int)] {
    [
      ("limit", "limits", file.limitNames.count), ("policy", "policies", file.policyNames.count),
      ("plan", "plans", file.planNames.count),
      ("tenant named", "tenants named", policies.namedTenantCount),
    ]
  }

  /// The limits that are other limits in another file: a name, an algorithm or a scope has changed.
  private static func changes(
    from before: [LimitDefinition], to after: [LimitDefinition]
  ) -> [String] {
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
          "limit '\(limit.name)': \(from.name) becomes \(to.name); its buckets begin anew")
      } else if was.scope != limit.scope {
        lines.append(
          "limit '\(limit.name)': scope \(was.scope) becomes \(limit.scope); its buckets begin anew"
        )
      }
    }
    for limit in before where !names.contains(limit.name) {
      lines.append("limit '\(limit.name)': gone, with its buckets")
    }
    return lines
  }

  private static func summary(of file: PolicyFile, _ policies: PolicySet) -> String {
    let texts = counts(of: file, policies).map { one, many, count in
      "\(Quantity.text(count: UInt64(count))) \(count == 1 ? one : many)"
    }
    return "\(visible(file.path)): \(texts.joined(separator: ", ")); other tenants: "
      + "\(file.anyTenantRule)\n"
  }

  private static func report(
    _ path: String, _ diagnostics: [Diagnostic],
    _ counts: [(one: String, many: String, count: Int)]?, _ changes: [String]?
  ) -> JSONValue {
    var fields: [(String, JSONValue)] = [
      ("file", .string(path)),
      ("is_valid", .boolean(counts != nil)),
      (
        "diagnostics",
        .array(
          diagnostics.map { diagnostic in
            .object([
              ("severity", .string(diagnostic.severity.rawValue)),
              ("line", .number(diagnostic.line)), ("column", .number(diagnostic.column)),
              ("message", .string(diagnostic.message)),
            ])
          })
      ),
      (
        "counts",
        counts.map { counts in
          .object(
            counts.map { ($0.many.split(separator: " ")[0].description, .number($0.count)) })
        } ?? .null
      ),
    ]
    if let changes {
      fields.append(("changes", .array(changes.map { .string($0) })))
    }
    return .object(fields)
  }
}

extension PolicyFile {
  /// Reads the file that a command line names; `-` is standard input.
  static func load(naming path: String) throws(PolicyFileError) -> PolicyFile {
    try load(path: path == "-" ? "/dev/stdin" : path)
  }
}
