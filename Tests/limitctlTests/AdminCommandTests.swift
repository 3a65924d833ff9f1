// Commands that ask the admin interface of the real daemon: what they show, and how they end.

import DaemonSupport
import Foundation
import Glibc
import LimitConsole
import Testing

@Suite struct AdminCommandTests {
  private func limitctl(_ daemon: TestDaemon, _ arguments: [String]) throws -> ProgramResult {
    try Program.run(arguments + ["--socket", daemon.socketPath])
  }

  private func json(_ daemon: TestDaemon, _ arguments: [String]) throws -> [String: Any] {
    let result = try limitctl(daemon, arguments + ["--json"])
    let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    return try #require(object as? [String: Any], "\(result.output)\(result.errors)")
  }

  @Test func statusShowsHowTheDaemonDoes() throws {
    let daemon = try TestDaemon()
    _ = try daemon.peer().decide(Request.query("acme", "many"))
    let result = try limitctl(daemon, ["status"])
    #expect(result.exitCode == 0, "\(result.errors)")
    for line in ["decisions    1", "3 named tenants", "administer", daemon.configPath] {
      #expect(result.output.contains(line), "\(line) in \(result.output)")
    }
    #expect(try json(daemon, ["status"])["format"] as? String == "limitd-status/1")
  }

  @Test func tenantsAreListedAndShown() throws {
    let daemon = try TestDaemon {
      $0.policy += "\n" + (0..<1500).map { "  school-\($0): {}\n" }.joined()
    }
    let list = try limitctl(daemon, ["tenant", "list", "--limit", "5"])
    #expect(list.output.contains("5 of 1,503 tenants") && list.output.contains("banned"))
    // More than the daemon has on a page.
    let all = try json(daemon, ["tenant", "list", "--search", "school", "--limit", "2000"])
    #expect((all["tenants"] as? [Any])?.count == 1500)
    _ = try daemon.peer().decide(Request.query("acme", "budget", cost: 400))
    let show = try limitctl(daemon, ["tenant", "show", "acme"])
    #expect(show.output.contains("600 of 1,000") && show.output.contains("1 allowed"))
    #expect(try limitctl(daemon, ["tenant", "show", "banned"]).output.contains("blocked"))
    #expect(try limitctl(daemon, ["tenant", "show", "someone"]).output.contains("not named"))
    #expect(try limitctl(daemon, ["tenant", "show", "no name"]).exitCode == 1)
  }

  @Test func limitsAreListedAndShown() throws {
    let daemon = try TestDaemon()
    _ = try daemon.peer().decide(Request.query("acme", "few", cost: 6))
    let list = try limitctl(daemon, ["limit", "list"])
    #expect(list.output.split(separator: "\n").count == 5)
    #expect(try json(daemon, ["limit", "show", "few"])["never"] as? Int == 1)
    let unknown = try limitctl(daemon, ["limit", "show", "fwe"])
    #expect(unknown.exitCode == 1 && unknown.errors.contains("did you mean 'few'?"))
  }

  @Test func explainShowsWhatIsLeftOfEachLimitAndTakesNothing() throws {
    let daemon = try TestDaemon()
    let client = try daemon.peer()
    for _ in 1...5 { _ = try client.decide(Request.query("acme", "all", key: "k")) }
    for _ in 1...2 {
      let result = try limitctl(daemon, ["explain", "acme", "all", "--key", "k"])
      #expect(result.exitCode == 2 && result.output.hasPrefix("deny: few"), "\(result.errors)")
      #expect(result.output.contains("0 of 5") && result.output.contains("1/d, burst 5"))
    }
    #expect(try limitctl(daemon, ["explain", "acme", "all", "--key", "other"]).exitCode == 0)
    #expect(try limitctl(daemon, ["explain", "banned", "all"]).exitCode == 2)
    #expect(try limitctl(daemon, ["explain", "acme", "al"]).errors.contains("did you mean 'all'?"))
  }

  @Test func reloadShowsTheDifferenceAndPutsItInForce() throws {
    let daemon = try TestDaemon()
    try daemon.write(
      policy: DaemonOptions.defaultPolicy.replacing("burst: 5", with: "burst: 50")
        + "\n  late: {blocked: true}")
    let dry = try limitctl(daemon, ["reload", "--dry-run"])
    #expect(dry.exitCode == 0 && dry.output.contains("~ limit few"), "\(dry.errors)")
    #expect(dry.output.contains("+ tenant late") && dry.output.contains("nothing is changed"))
    #expect(try daemon.peer().decide(Request.query("acme", "few", .peek)).capacity == 5)
    let done = try limitctl(daemon, ["reload"])
    #expect(done.exitCode == 0 && done.output.contains("in force: 2 differences"))
    #expect(try daemon.peer().decide(Request.query("acme", "few", .peek)).capacity == 50)
    try daemon.write(policy: "limits: 3")
    let bad = try limitctl(daemon, ["reload"])
    #expect(bad.exitCode == 1 && bad.errors.contains("not valid"), "\(bad.errors)")
  }

  @Test func atATerminalAReloadShowsTheDifferenceAndAsksFirst() throws {
    let daemon = try TestDaemon()
    let reload = ["reload", "--socket", daemon.socketPath]
    func capacity() throws -> UInt64 {
      try daemon.peer().decide(Request.query("acme", "few", .peek)).capacity
    }
    // Where nothing differs, nothing is asked.
    #expect(try Program.onTerminal(columns: 80, reload, typed: "").exitCode == 0)
    try daemon.write(policy: DaemonOptions.defaultPolicy.replacing("burst: 5", with: "burst: 50"))
    let refused = try Program.onTerminal(columns: 80, reload, typed: "n\n")
    #expect(refused.exitCode == 1 && refused.output.contains("~ limit few"), "\(refused)")
    #expect(refused.output.contains("Put this in force? [y/N]"))
    #expect(try capacity() == 5 && daemon.reloadCount == 1)
    let done = try Program.onTerminal(columns: 80, reload, typed: "y\n")
    #expect(try done.exitCode == 0 && capacity() == 50, "\(done)")
    try daemon.write(policy: DaemonOptions.defaultPolicy)
    #expect(try Program.onTerminal(columns: 80, reload + ["--yes"], typed: "").exitCode == 0)
    #expect(try capacity() == 5)
  }

  @Test func whyShowsTheLastDenials() throws {
    let daemon = try TestDaemon()
    let client = try daemon.peer()
    #expect(try limitctl(daemon, ["why", "acme"]).output.contains("no denial is known"))
    for _ in 1...7 { _ = try client.decide(Request.query("acme", "few", key: "bob")) }
    _ = try client.decide(Request.query("banned", "many"))
    let acme = try limitctl(daemon, ["why", "acme"])
    #expect(acme.exitCode == 0 && acme.output.contains("2 denied of 7 counted under its name"))
    #expect(acme.output.contains("few") && acme.output.contains("bob"), "\(acme.output)")
    #expect(try limitctl(daemon, ["why", "banned"]).output.contains("blocked: every query"))
    let list = try json(daemon, ["why", "acme"])
    #expect(list["format"] as? String == "limitd-denials/1")
    #expect((list["denials"] as? [Any])?.count == 2)
    #expect(try limitctl(daemon, ["why", "no name"]).exitCode == 1)
  }

  @Test func topIsPrintedOnceWhereItCannotBeDrawn() throws {
    let daemon = try TestDaemon()
    #expect(try limitctl(daemon, ["top"]).output.contains("nothing was asked lately"))
    let client = try daemon.peer()
    for _ in 1...7 { _ = try client.decide(Request.query("acme", "few", key: "bob")) }
    _ = try client.decide(Request.query("guest", "many"))
    for arguments in [["top"], ["top", "-1", "--sort", "queries"]] {
      let top = try limitctl(daemon, arguments)
      #expect(top.exitCode == 0 && top.errors == "", "\(top.errors)")
      for text in ["acme", "bob", "guest", "few", "25.0 % denied"] {
        #expect(top.output.contains(text), "\(text) in \(top.output)")
      }
    }
    #expect(try json(daemon, ["top", "-1"])["format"] as? String == "limitd-top/1")
    #expect(try limitctl(daemon, ["top", "--json"]).exitCode == 64)
  }

  @Test func topDrawsAgainSortsAndLeavesTheTerminalAsItWas() throws {
    let daemon = try TestDaemon()
    for (ending, code) in [("q", 0), ("", 130)] as [(String, Int32)] {
      let client = try daemon.peer()
      for _ in 1...7 { _ = try client.decide(Request.query("acme", "few", key: "bob")) }
      let terminal = try PseudoTerminal(columns: 80)
      let before = terminal.settings
      let program = try terminal.start(["top", "--interval", "1", "--socket", daemon.socketPath])
      try wait(for: "a screen") { try terminal.output().contains("most denied first") }
      #expect(terminal.settings != before)
      try wait(for: "another one") {
        try terminal.output().components(separatedBy: "most denied first").count > 2
      }
      try terminal.type("u")
      try wait(for: "another order") { try terminal.output().contains("most asked for first") }
      if ending.isEmpty { program.interrupt() } else { try terminal.type(ending) }
      #expect(try terminal.end(of: program) == code)
      #expect(terminal.settings == before)
      let all = try terminal.output()
      #expect(all.hasPrefix("\u{1B}[?1049h\u{1B}[?25l"))
      #expect(all.hasSuffix("\u{1B}[?25h\u{1B}[?1049l"))
    }
  }

  @Test func metricsAndSnapshotsCanBeHad() throws {
    let daemon = try TestDaemon()
    #expect(try limitctl(daemon, ["metrics"]).output.contains("\nlimitd_queries_total 0\n"))
    let saved = try limitctl(daemon, ["snapshot", "save"])
    #expect(saved.exitCode == 0 && saved.output.contains(daemon.statePath), "\(saved.errors)")
    let listed = try Program.run(["snapshot", "list", "--state-dir", daemon.statePath])
    #expect(listed.exitCode == 0)
  }

  @Test func snapshotsAreReadWithoutTheDaemon() throws {
    let daemon = try TestDaemon { $0.settings = "  snapshot-interval: 1h" }
    for key in 0..<3 {
      #expect(
        try daemon.peer().decide(Request.query("acme", "few", key: "k\(key)")).isAllowed)
    }
    for _ in 0..<2 { #expect(try limitctl(daemon, ["snapshot", "save"]).exitCode == 0) }
    daemon.kill()
    let paths = (1...2).map { "\(daemon.statePath)/snapshot.\($0)" }
    let listed = try Program.run(["snapshot", "list", "--state-dir", daemon.statePath])
    #expect(listed.exitCode == 0)
    for (number, path) in paths.enumerated() {
      let line = listed.output.split(separator: "\n").first { $0.contains(path) } ?? ""
      #expect(line.contains("number \(number + 1), ") && line.hasSuffix("3 buckets"), "\(line)")
    }
    let described = try Program.run(["snapshot", "info", paths[1]])
    #expect(described.exitCode == 0)
    for line in ["  number    2\n", "  buckets   3\n", "    few  3\n"] {
      #expect(described.output.contains(line), "\(described.output)")
    }
    #expect(try Program.run(["snapshot", "verify"] + paths).exitCode == 0)

    // One byte of the second is not as it was written; of a third, the end is missing.
    var bytes = try Data(contentsOf: URL(filePath: paths[1]))
    bytes[bytes.count - 60] ^= 1
    try bytes.write(to: URL(filePath: paths[1]))
    let cut = "\(daemon.statePath)/cut"
    try bytes.dropLast(50).write(to: URL(filePath: cut))
    for damaged in [paths[1], cut] {
      for command in ["info", "verify"] {
        let result = try Program.run(["snapshot", command, damaged])
        #expect(result.exitCode == 1 && result.output.isEmpty, "\(command): \(result.output)")
        #expect(
          result.errors.hasPrefix("\(damaged): it is damaged or cut short, near byte "),
          "\(command): \(result.errors)")
      }
    }
    // The other is still told, and is enough for a start.
    let both = try Program.run(["snapshot", "verify"] + paths)
    #expect(both.exitCode == 1 && both.output.contains("good, 3 buckets"), "\(both.output)")
    let again = try Program.run(["snapshot", "list", "--state-dir", daemon.statePath])
    #expect(again.exitCode == 0 && again.errors.contains("damaged"), "\(again.errors)")
  }

  @Test func whereNobodyAnswersTheNextStepIsSaid() throws {
    for arguments in [
      ["status"], ["tenant", "list"], ["limit", "list"], ["metrics"], ["reload"],
      ["snapshot", "save"], ["explain", "acme", "few"], ["why", "acme"], ["top"], ["top", "-1"],
      ["events"],
    ] {
      let result = try Program.run(arguments + ["--admin-socket", "/nonexistent/admin.sock"])
      #expect(result.exitCode == 3 && result.output == "", "\(arguments)")
      #expect(result.errors.contains("--admin-socket or LIMITD_ADMIN_SOCKET"), "\(result.errors)")
    }
  }

  @Test func theAdminSocketIsFoundBesideTheOtherAndByItsVariable() throws {
    let daemon = try TestDaemon()
    for environment in [
      ["LIMITD_SOCKET": daemon.socketPath], ["LIMITD_ADMIN_SOCKET": daemon.adminPath],
    ] {
      #expect(try Program.run(["status"], environment: environment).exitCode == 0)
    }
  }

  // MARK: Screens

  /// What differs from one run to the next.
  private func settled(_ text: String, _ daemon: TestDaemon) -> String {
    text.replacing(daemon.folder, with: "/tmp/limitd-test")
      .replacing(/up [0-9a-zµ ]+, process \d+/, with: "up 3h 12m, process 1234")
      .replacing(/loaded [0-9a-zµ ]+ ago/, with: "loaded 3h 12m ago")
      .replacing(/snapshots    .*/, with: "snapshots    4s ago, 12 buckets, 1.2 kB in 12ms")
      .replacing(/workers      \d+/, with: "workers      2")
      .replacing(/of [0-9,]+, [0-9.]+ k?B; 0 refused/, with: "of 4,096, 0 B; 0 refused")
      .replacing(/(?m)^ +\d[0-9a-zµ ]*  (llm-tpm|user-rps)/, with: { "  3ms  \($0.1)" })
      .replacing(/(?m)^ +ago +limit/, with: "  ago  limit")
  }

  /// The same of what is per second: each in its column.
  private func settledRates(_ text: String) -> String {
    func column(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: width - text.count) + text
    }
    return text.replacing(
      /[0-9.,<]+\/s and (.*) in the last .*/, with: { "0.4/s and \($0.1) in the last 1m 4s" }
    )
    .replacing(/(?m)( +[<0-9.,]+)( +[<0-9.,]+)( +[<0-9.]+ %)$/) {
      column("0.3", $0.1.count) + column("<0.1", $0.2.count) + $0.3
    }
  }

  @Test(arguments: [80, 120])
  func screensAreAsTheyWereAndFit(columns: Int) throws {
    // The example, so slow that nothing comes back in a test.
    let policy = try String(contentsOfFile: "\(Program.root)/examples/policy.yaml", encoding: .utf8)
      .replacing(/(\d+)\/[sm]\b/, with: { "\($0.1)/d" }).replacing(
        "window: 1m", with: "window: 31d")
    let daemon = try TestDaemon { $0.policy = policy }
    let client = try daemon.peer()
    for _ in 1...3 { _ = try client.decide(Request.query("acme", "chat", cost: 4000, key: "bob")) }
    let screens: [(String, [String])] = [
      ("status", ["status"]), ("tenant-list", ["tenant", "list"]),
      ("tenant-show", ["tenant", "show", "acme"]), ("limit-list", ["limit", "list"]),
      ("limit-show", ["limit", "show", "llm-tpm"]),
      ("explain-live", ["explain", "acme", "chat", "--key", "bob", "--cost", "3000000"]),
    ]
    try check(screens, daemon, columns)
    _ = try client.decide(Request.query("acme", "chat", cost: 3_000_000, key: "bob"))
    for _ in 1...22 { _ = try client.decide(Request.query("acme", "gateway", key: "eve")) }
    let rest: [(String, [String])] = [("why", ["why", "acme"]), ("top", ["top", "-1"])]
    try check(rest, daemon, columns)
  }

  private func check(
    _ screens: [(String, [String])], _ daemon: TestDaemon, _ columns: Int
  ) throws {
    for (name, arguments) in screens {
      let screen = try Program.onTerminal(
        columns: columns, arguments + ["--socket", daemon.socketPath],
        environment: ["NO_COLOR": "1"])
      let text = name == "top" ? settledRates(screen.output) : settled(screen.output, daemon)
      for line in text.split(separator: "\n") {
        #expect(displayWidth(String(line)) <= columns, "\(name): \(line)")
      }
      let file = "\(Program.root)/Tests/Snapshots/screen-\(name)-\(columns).txt"
      if ProcessInfo.processInfo.environment["LIMITD_UPDATE_SNAPSHOTS"] == "1" {
        try text.write(toFile: file, atomically: true, encoding: .utf8)
      }
      #expect(
        text == (try String(contentsOfFile: file, encoding: .utf8)), "screen-\(name)-\(columns)")
    }
  }
}
