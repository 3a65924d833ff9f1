// `limitctl config show --effective`: the rules in force, and where each value comes from.

import ArgumentParser
import LimitAdminModel
import LimitConsole

struct ConfigShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Shows the rules in force, and where each value was written.",
    discussion: """
      As a policy file: what the daemon's own says, with what is set at run time over it. A comment \
      names the line of the file, or says `run time`. Settings under `daemon` are not shown.

      Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @Flag(help: "What is in force; there is nothing else to show.")
  var effective = false

  @OptionGroup var admin: AdminOptions

  func run() throws {
    try admin.run { client, _ throws(AdminError) in
      let rules = try rules(client)
      if admin.json {
        guard let text = try? AdminJSON.encode(rules) else { throw .unreadable(path: client.path) }
        return CommandResult(output: String(decoding: text, as: UTF8.self) + "\n")
      }
      return CommandResult(output: EffectiveText(rules).lines.map { "\($0)\n" }.joined())
    }
  }

  /// All of the daemon's pages as one.
  private func rules(_ client: AdminClient) throws(AdminError) -> EffectiveRules {
    var all = try client.get(EffectiveRules.self, "/v1/rules?limit=1000").value
    while all.entries.count < all.total {
      let page = try client.get(
        EffectiveRules.self, "/v1/rules?limit=1000&offset=\(all.entries.count)"
      ).value
      if page.entries.isEmpty { break }
      all.entries += page.entries
    }
    return all
  }
}

/// The rules in force as the text of a policy file.
struct EffectiveText {
  private let rules: EffectiveRules

  init(_ rules: EffectiveRules) { self.rules = rules }

  var lines: [String] {
    ["# \(visible(rules.configPath)), with what is set at run time"]
      + section("limits", "limit") { entry in
        [head(entry)] + entry.values.map { "    \($0.name): \($0.value)\(comment($0))" }
      }
      + section("policies", "policy") { entry in
        ["  \(entry.name): [\(entry.values.first?.value ?? "")]  # line \(entry.line ?? 0)"]
      } + section("plans", "plan") { [head($0)] + parameters($0.values, indent: "    ") }
      + section("tenants", "tenant") { tenant($0) }
  }

  private func section(
    _ name: String, _ kind: String, _ lines: (EffectiveEntry) -> [String]
  ) -> [String] {
    let entries = rules.entries.filter { $0.kind == kind }
    return entries.isEmpty ? [] : ["\(name):"] + entries.flatMap(lines)
  }

  /// Names of tenants may be anything that YAML would read otherwise.
  private func head(_ entry: EffectiveEntry) -> String {
    let name = entry.kind == "tenant" ? quoted(entry.name) : entry.name
    let place = entry.line.map { "line \($0)" } ?? "run time"
    return "  \(name):\(entry.values.isEmpty ? " {}" : "")  # \(place)"
  }

  private func tenant(_ entry: EffectiveEntry) -> [String] {
    let own = entry.values.filter { !$0.name.contains(".") }
    let others = entry.values.filter { $0.name.contains(".") }
    return [head(entry)] + own.map { "    \($0.name): \($0.value)\(comment($0))" }
      + (others.isEmpty ? [] : ["    limits:"] + parameters(others, indent: "      "))
  }

  /// Values named `LIMIT.PARAMETER`, by limit.
  private func parameters(_ values: [EffectiveEntry.Value], indent: String) -> [String] {
    var lines: [String] = []
    var last: Substring?
    for value in values {
      let dot = value.name.lastIndex(of: ".") ?? value.name.startIndex
      let limit = value.name[..<dot]
      if limit != last { lines.append("\(indent)\(limit):") }
      last = limit
      lines.append(
        "\(indent)  \(value.name[value.name.index(after: dot)...]): \(value.value)\(comment(value))"
      )
    }
    return lines
  }

  private func comment(_ value: EffectiveEntry.Value) -> String {
    "  # \(value.line.map { "line \($0)" } ?? "run time")"
  }

  private func quoted(_ name: String) -> String {
    "\"" + name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}
