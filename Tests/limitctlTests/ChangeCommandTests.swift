// Commands that change something at run time, on the real daemon: what they do, show, ask and refuse.

import DaemonSupport
import Foundation
import Testing

@Suite struct ChangeCommandTests {
  private func limitctl(_ daemon: TestDaemon, _ arguments: [String]) throws -> ProgramResult {
    try Program.run(arguments + ["--socket", daemon.socketPath])
  }

  private func daemon() throws -> TestDaemon {
    try TestDaemon {
      $0.policy = $0.policy.replacing(
        "tenants:", with: "plans: {pro: {few: {burst: 50}}}\ntenants:")
    }
  }

  private func peek(_ daemon: TestDaemon, _ tenant: String = "acme") throws -> ReplyDecision {
    try daemon.peer().decide(Request.query(tenant, "few", .peek))
  }

  @Test("tenant set and unset change what a tenant has, and say so")
  func setAndUnset() throws {
    let daemon = try daemon()
    let dry = try limitctl(daemon, ["tenant", "set", "acme", "plan=pro", "--dry-run"])
    #expect(dry.exitCode == 0 && dry.output.contains("nothing is changed"), "\(dry.errors)")
    #expect(try peek(daemon).capacity == 5)
    let set = try limitctl(
      daemon, ["tenant", "set", "acme", "plan=pro", "few.rate=3/1d", "many.limit=7G"])
    #expect(set.exitCode == 0 && set.output.contains("in force"), "\(set.errors)")
    #expect(set.output.contains("plan: pro, few: {rate: 3/1d}, many: {limit: 7G}"))
    #expect(try peek(daemon).capacity == 50)
    let show = try limitctl(daemon, ["tenant", "show", "acme"])
    #expect(show.output.contains("pro, set at run time") && show.output.contains("run time"))
    #expect(
      try limitctl(daemon, ["tenant", "set", "acme", "plan=pro"]).output.contains("so already"))
    let unset = try limitctl(daemon, ["tenant", "unset", "acme", "plan", "few.rate"])
    #expect(unset.exitCode == 0 && unset.output.contains("+ many: {limit: 7G}"), "\(unset.errors)")
    #expect(try peek(daemon).capacity == 5)
    let all = try limitctl(daemon, ["tenant", "unset", "acme", "--json"])
    #expect(all.output.contains(#""format":"limitd-change/1""#))
    #expect(!(try limitctl(daemon, ["tenant", "show", "acme"]).output.contains("run time")))
  }

  @Test("What does not fit is refused with the words of the policy file")
  func refused() throws {
    let daemon = try daemon()
    let cases: [([String], String, Int32)] = [
      (["plan=prp"], "did you mean 'pro'?", 1), (["fwe.rate=1/s"], "did you mean 'few'?", 1),
      (["few.rate=fast"], "rate 'fast'", 1), (["few=3"], "write LIMIT.PARAMETER=VALUE", 64),
      (["few.rate"], "is no plan=NAME", 64), ([], "Missing", 64),
    ]
    for (arguments, words, code) in cases {
      let result = try limitctl(daemon, ["tenant", "set", "acme"] + arguments)
      #expect(result.exitCode == code && result.errors.contains(words), "\(result)")
    }
    #expect(try peek(daemon).capacity == 5)
  }

  @Test("A block asks first, shows its reason, and is lifted")
  func block() throws {
    let daemon = try daemon()
    let block = ["tenant", "block", "acme", "--reason", "unpaid bill"]
    let asked = try limitctl(daemon, block)
    #expect(asked.exitCode == 64 && asked.errors.contains("--yes"), "\(asked)")
    #expect(try peek(daemon).isAllowed)
    let done = try limitctl(daemon, block + ["--for", "2h", "--yes"])
    #expect(done.exitCode == 0 && done.output.contains("unpaid bill"), "\(done)")
    #expect(try !peek(daemon).isAllowed)
    for command in [["tenant", "show", "acme"], ["explain", "acme", "few"]] {
      let shown = try limitctl(daemon, command)
      #expect(shown.output.contains("reason") && shown.output.contains("unpaid bill"), "\(shown)")
      #expect(shown.output.contains("until"))
    }
    for bad in [["--for", "x"], ["--for", "1ms"], ["--for", "1h", "--until", "2999-01-01"]] {
      #expect(try limitctl(daemon, block + bad + ["--yes"]).exitCode == 64)
    }
    #expect(try limitctl(daemon, block + ["--until", "1999-01-01", "--yes"]).exitCode == 1)
    #expect(try limitctl(daemon, ["tenant", "unblock", "acme"]).exitCode == 0)
    #expect(try peek(daemon).isAllowed)
    let banned = try limitctl(daemon, ["tenant", "unblock", "banned"])
    #expect(banned.output.contains("note: the policy file blocks this tenant"), "\(banned)")
  }

  @Test("Who is asked sees what would change, and only yes is yes")
  func asks() throws {
    let daemon = try daemon()
    let arguments = [
      "tenant", "block", "acme", "--reason", "unpaid", "--socket", daemon.socketPath,
    ]
    for (typed, code) in [("n", 1), ("", 1), ("maybe", 1), ("yes", 0)] as [(String, Int32)] {
      let result = try Program.onTerminal(columns: 80, arguments, typed: "\(typed)\n")
      #expect(result.exitCode == code, "\(typed): \(result.output)")
      #expect(result.output.contains("+ blocked: unpaid"))
      #expect(result.output.contains("Block acme? [y/N]"))
      #expect(result.output.contains(code == 0 ? "in force" : "nothing is changed"))
      #expect(try peek(daemon).isAllowed == (code != 0))
    }
  }

  @Test("The record of changes is listed, for one tenant too, and goes back as far as is asked")
  func audit() throws {
    let daemon = try daemon()
    for number in 1...7 {
      _ = try limitctl(daemon, ["tenant", "set", "t\(number % 2)", "few.burst=\(number)"])
    }
    let list = try limitctl(daemon, ["audit", "list", "--limit", "3"])
    #expect(list.exitCode == 0 && list.output.contains("tenant set t1"), "\(list)")
    #expect(list.output.contains("+ few: {burst: 7}") && list.output.contains("--before 5"))
    let one = try limitctl(daemon, ["audit", "list", "--tenant", "t0", "--json"])
    let json = try JSONSerialization.jsonObject(with: Data(one.output.utf8)) as? [String: Any]
    #expect((json?["entries"] as? [Any])?.count == 3, "\(one)")
    #expect(
      try limitctl(daemon, ["audit", "list", "--before", "1"]).output.contains("nothing was"))
    #expect(try limitctl(daemon, ["audit", "list", "--limit", "0"]).exitCode == 64)
  }
}
