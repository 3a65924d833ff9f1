// Commands about all that is set at run time, on the real daemon: shadow, reset, export and import, and the
// rules that are in force.

import DaemonSupport
import Foundation
import LimitPolicy
import Testing

@Suite struct OverrideCommandTests {
  private func limitctl(
    _ daemon: TestDaemon, _ arguments: [String], input: String = ""
  ) throws -> ProgramResult {
    try Program.run(arguments + ["--socket", daemon.socketPath], input: input)
  }

  @Test("A limit is put in the shadow, enforced, and left to the policy file")
  func shadow() throws {
    let daemon = try TestDaemon()
    let use = Request.query("acme", "few", cost: 5)
    #expect(try daemon.peer().decide(use).isAllowed)
    #expect(try limitctl(daemon, ["shadow", "on", "few"]).exitCode == 64)
    #expect(try !daemon.peer().decide(use).isAllowed)
    let on = try limitctl(daemon, ["shadow", "on", "few", "--yes"])
    #expect(on.exitCode == 0 && on.output.contains("+ limit few"), "\(on)")
    #expect(try daemon.peer().decide(use).isAllowed)
    #expect(try limitctl(daemon, ["limit", "list"]).output.contains("few (shadow)"))
    #expect(try limitctl(daemon, ["shadow", "off", "few", "--yes"]).exitCode == 0)
    #expect(try !daemon.peer().decide(use).isAllowed)
    let dry = try limitctl(daemon, ["shadow", "unset", "few", "--dry-run"])
    #expect(dry.output.contains("- limit few") && dry.output.contains("nothing is changed"))
    #expect(try limitctl(daemon, ["shadow", "unset", "few", "--yes"]).output.contains("in force"))
    let unknown = try limitctl(daemon, ["shadow", "on", "fwe", "--yes"])
    #expect(unknown.exitCode == 1 && unknown.errors.contains("did you mean 'few'?"))
  }

  @Test("A tenant gets back what it used")
  func reset() throws {
    let daemon = try TestDaemon()
    #expect(try daemon.peer().decide(Request.query("acme", "few", cost: 5)).isAllowed)
    #expect(try limitctl(daemon, ["tenant", "reset", "acme"]).exitCode == 64)
    let reset = ["tenant", "reset", "acme", "--key", "k", "--socket", daemon.socketPath]
    #expect(try Program.run(reset + ["--dry-run"]).output == "1 bucket had been used\n")
    let refused = try Program.onTerminal(columns: 80, reset, typed: "n\n")
    #expect(refused.exitCode == 1 && refused.output.contains("1 bucket had been used"))
    #expect(try daemon.peer().decide(Request.query("acme", "few", .peek)).remaining == 0)
    let done = try limitctl(daemon, ["tenant", "reset", "acme", "--key", "k", "--yes"])
    #expect(done.exitCode == 0 && done.output.hasPrefix("1 bucket had been used"), "\(done)")
    #expect(try daemon.peer().decide(Request.query("acme", "few", .peek)).remaining == 5)
    let again = try limitctl(daemon, ["tenant", "reset", "acme", "--yes"])
    #expect(again.output == "no bucket had been used\n")
    let permits = try limitctl(daemon, ["tenant", "reset", "acme", "--limit", "held", "--yes"])
    #expect(permits.exitCode == 1 && permits.errors.contains("permits"))
  }

  @Test("What is exported can be imported elsewhere, and the same comes out of it")
  func exportAndImport() throws {
    let daemon = try TestDaemon()
    _ = try limitctl(daemon, ["tenant", "set", "acme", "few.burst=9", "budget.soft=80%"])
    _ = try limitctl(
      daemon,
      ["tenant", "block", "é\"x", "--reason", "a \"b\" é", "--until", "2999-01-01", "--yes"])
    let lines = try limitctl(daemon, ["tenant", "export"])
    #expect(lines.exitCode == 0 && lines.output.split(separator: "\n").count == 2, "\(lines)")
    let other = try TestDaemon()
    let dry = try limitctl(other, ["tenant", "import", "-", "--dry-run"], input: lines.output)
    #expect(dry.output.contains("+ tenant acme") && dry.output.contains("nothing is changed"))
    #expect(try limitctl(other, ["tenant", "export"]).output == "")
    #expect(try limitctl(other, ["tenant", "import", "-"], input: lines.output).exitCode == 64)
    let done = try limitctl(other, ["tenant", "import", "-", "--yes"], input: lines.output + "\n")
    #expect(done.exitCode == 0 && done.output.contains("in force"), "\(done)")
    #expect(try limitctl(other, ["tenant", "export"]).output == lines.output)
    #expect(try other.peer().decide(Request.query("acme", "few", .peek)).capacity == 9)
    for bad in ["nonsense", #"{"tenant": "a", "plan": 3}"#, #"{"tenant": "a", "paln": "x"}"#] {
      let result = try limitctl(
        other, ["tenant", "import", "-", "--yes"], input: #"{"tenant": "acme"}"# + "\n\(bad)\n")
      #expect(result.exitCode == 64 && result.errors.contains("-:2:"), "\(result)")
    }
    let misfit = try limitctl(
      other, ["tenant", "import", "-", "--yes"],
      input: #"{"tenant": "acme"}"# + "\n" + #"{"tenant": "b", "plan": "none"}"#)
    #expect(misfit.exitCode == 1 && misfit.errors.contains("there is no plan 'none'"))
    #expect(try limitctl(other, ["tenant", "export"]).output == lines.output)
  }

  @Test(
    "The rules in force are shown as a policy file that is those rules, with where each comes from")
  func effective() throws {
    let daemon = try TestDaemon {
      $0.policy = $0.policy.replacing(
        "tenants:", with: "plans: {pro: {few: {burst: 50}, many: {soft: 12.5%}}}\ntenants:")
    }
    _ = try limitctl(daemon, ["tenant", "set", "acme", "plan=pro", "few.rate=3/7d"])
    _ = try limitctl(daemon, ["tenant", "set", "true", "budget.limit=2M"])
    _ = try limitctl(daemon, ["tenant", "block", "a\"\\b", "--reason", "r", "--yes"])
    _ = try limitctl(daemon, ["shadow", "on", "many", "--yes"])
    let shown = try limitctl(daemon, ["config", "show", "--effective"])
    #expect(shown.exitCode == 0, "\(shown)")
    for line in [
      "    plan: pro  # run time", "        rate: 3/7d  # run time", "    burst: 5  # line 2",
      "    mode: shadow  # run time", "    blocked: true  # run time", "  \"acme\":  # line 15",
    ] {
      #expect(shown.output.contains("\(line)\n"), "\(line) in \(shown.output)")
    }
    let file = try PolicyFile.parse(shown.output, path: "shown")
    let written = try PolicyFile.parse(
      daemon.options.policy.replacing(
        "31d, scope: tenant}\n  held", with: "31d, scope: tenant, mode: shadow}\n  held"
      )
      .replacing("acme: {}", with: "acme: {plan: pro, limits: {few: {rate: 3/7d}}}")
        + "\n  \"true\": {limits: {budget: {limit: 2M}}}\n  \"a\\\"\\\\b\": {blocked: true}",
      path: "written")
    #expect(file.differences(to: written) == [], "\(shown.output)")
    let json = try limitctl(daemon, ["config", "show", "--effective", "--json"]).output
    #expect(json.contains(#""format":"limitd-rules/1""#))
  }
}
