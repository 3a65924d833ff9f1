// Commands that ask the real daemon, and what they say where it is not there.

import DaemonSupport
import Foundation
import Glibc
import Testing

@Suite struct DaemonCommandTests {
  private func json(_ daemon: TestDaemon, _ arguments: [String]) throws -> [String: Any] {
    let result = try Program.run(arguments + ["--json", "--socket", daemon.socketPath])
    let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    return try #require(object as? [String: Any], "\(result.output)\(result.errors)")
  }

  @Test func aDecisionSaysWhyAndHowLongToWait() throws {
    let daemon = try TestDaemon()
    let allowed = try json(daemon, ["check", "acme", "few", "--key", "k"])
    #expect(allowed["format"] as? String == "limitctl-decision/1")
    #expect(allowed["reason"] as? String == "within-limits")
    #expect(allowed["retry_after_seconds"] as? Int == 0)
    let denied = try json(daemon, ["check", "acme", "few", "--key", "k", "--cost", "5"])
    #expect(denied["reason"] as? String == "limit-reached")
    #expect(denied["retry_after_seconds"] as? Double ?? 0 > 80_000)
    for (arguments, reason) in [
      (["check", "acme", "few", "--cost", "6"], "cost-above-capacity"),
      (["check", "banned", "few"], "blocked"),
    ] {
      let decision = try json(daemon, arguments)
      #expect(decision["reason"] as? String == reason)
      #expect(decision["retry_after_seconds"] is NSNull, "\(arguments)")
    }
  }

  @Test func settlingSaysWhatWasUsedMoreOrLess() throws {
    let daemon = try TestDaemon()
    func used() throws -> Int {
      let decision = try json(daemon, ["peek", "acme", "budget", "--cost", "0"])
      return 1000 - (try #require(decision["remaining"] as? Int, "\(decision)"))
    }
    for (actual, total) in [("700", 700), ("5", 705), ("0", 705)] {
      let taken = try json(daemon, ["check", "acme", "budget", "--cost", "100"])
      let receipt = try #require(taken["receipt"] as? String)
      #expect(try json(daemon, ["settle", receipt, actual])["settled"] as? Bool == true)
      #expect(try used() == total)
    }
    let taken = try json(daemon, ["check", "acme", "budget", "--cost", "100"])
    let receipt = try #require(taken["receipt"] as? String)
    for arguments in [["settle", receipt, "many"], ["settle", "beef", "1"], ["settle", receipt]] {
      #expect(try Program.run(arguments + ["--socket", daemon.socketPath]).exitCode == 64)
    }
    #expect(try used() == 805)
    #expect(try json(daemon, ["refund", receipt, "--units", "5"])["refunded"] as? Bool == true)
    #expect(try used() == 800)
  }

  @Test func limitsThatMayNotDenyAreSaidToBeSo() throws {
    let daemon = try TestDaemon { options in
      options.policy = """
        limits: {try: {algorithm: token-bucket, rate: 1/1d, burst: 1, scope: tenant, mode: shadow}}
        policies: {p: [try]}
        tenants: {acme: {}, free: {unlimited: true}}
        """
    }
    for (tenant, text, flag, reason) in [
      ("acme", "  shadow    try would have denied\n", "shadow", "within-limits"),
      ("free", "  beyond    try would have denied\n", "beyond", "unlimited"),
    ] {
      #expect(try json(daemon, ["check", tenant, "p"])["flags"] as? [String] == [])
      let spared = try json(daemon, ["check", tenant, "p"])
      #expect(spared["would_have_denied"] as? [String] == ["try"])
      #expect(spared["flags"] as? [String] == [flag] && spared["reason"] as? String == reason)
      let result = try Program.run(["check", tenant, "p", "--socket", daemon.socketPath])
      #expect(result.output.contains(text), "\(result.output)")
    }
  }

  @Test func aWaitIsRoundedUpToTwoUnits() throws {
    let daemon = try TestDaemon()
    let result = try Program.run([
      "peek", "acme", "few", "--key", "k", "--cost", "5", "--socket", daemon.socketPath,
    ])
    #expect(result.exitCode == 0)
    _ = try json(daemon, ["check", "acme", "few", "--key", "k", "--cost", "3"])
    let denied = try Program.run([
      "check", "acme", "few", "--key", "k", "--cost", "4", "--socket", daemon.socketPath,
    ])
    #expect(denied.output.contains("retry     in 2d\n"), "\(denied.output)")
  }

  @Test(arguments: [
    ["check", "acme", "many"], ["check", "acme", "many", "--json"], ["peek", "acme", "many"],
    ["check", "banned", "many"], ["ping"], ["ping", "--json"], ["version"],
    ["bench", "--policy", "many", "--requests", "10"],
  ])
  func whatCannotBeWrittenIsAnError(arguments: [String]) throws {
    let daemon = try TestDaemon()
    let result = try Program.run(
      arguments + ["--socket", daemon.socketPath], outputPath: "/dev/full")
    #expect(result.exitCode == 1)
    #expect(result.errors.contains("No space left on device"), "\(result.errors)")
  }

  @Test func theDaemonsVersionIsTold() throws {
    let daemon = try TestDaemon()
    let result = try Program.run(["version", "--socket", daemon.socketPath])
    #expect(result.output.contains("\nlimitd    0."))
    #expect(result.exitCode == 0)
  }

  /// Interrupts a bench of twenty queries a second once it has asked `count`.
  private func interruptedBench(after count: Int) throws -> (output: Data, errors: String) {
    let daemon = try TestDaemon()
    let process = Process()
    process.executableURL = URL(filePath: Program.limitctl)
    process.arguments = [
      "bench", "--socket", daemon.socketPath, "--policy", "many", "--duration", "10m", "--json",
      "--rate", "20",
    ]
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    try wait(for: "the bench to ask") {
      let left = try json(daemon, ["peek", "bench-0", "many"])["remaining"] as? Int
      return left.map { $0 <= 10_000_000_000 - count } ?? false
    }
    process.interrupt()
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    return (
      output.fileHandleForReading.readDataToEndOfFile(),
      String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    )
  }

  @Test func aBenchIsEndedByCtrlCWithWhatItFound() throws {
    // What is not counted lasts a second: at most twenty-one are due in it.
    let (output, _) = try interruptedBench(after: 25)
    let document = try #require(try JSONSerialization.jsonObject(with: output) as? [String: Any])
    #expect(document["format"] as? String == "limitctl-bench/1")
    #expect(document["is_complete"] as? Bool == false)
    #expect(document["decisions"] as? Int ?? 0 > 0)
  }

  @Test func aBenchThatHasCountedNothingSaysSo() throws {
    // On a busy machine the second may be over before the signal comes: then again.
    for _ in 0..<20 {
      let (output, errors) = try interruptedBench(after: 1)
      guard output.isEmpty else { continue }
      #expect(errors == "limitctl: interrupted before anything was counted\n")
      return
    }
    Issue.record("no bench was interrupted in its first second")
  }

  @Test func aBenchSaysAsWhomItAsks() throws {
    let daemon = try TestDaemon { options in
      options.policy = """
        limits:
          few: {algorithm: token-bucket, scope: tenant, rate: 1/s, burst: 1}
        policies:
          gateway: [few]
        tenants:
          acme: {}
        """
    }
    let result = try Program.run(["bench", "--socket", daemon.socketPath, "--requests", "10"])
    #expect(result.exitCode == 1)
    #expect(result.errors.contains("as the tenants bench-0, bench-1"), "\(result.errors)")
  }

  @Test func aLiveReplayOnTheTracesClockDecidesAsReplayAlone() throws {
    let daemon = try TestDaemon { options in
      options.policy =
        (try? String(contentsOfFile: "\(Program.root)/examples/policy.yaml", encoding: .utf8)) ?? ""
      options.flags = ["--trace-clock"]
    }
    let arguments = ["replay", "--config", "examples/policy.yaml", "examples/sample-trace.csv"]
    let alone = try Program.run(arguments + ["--format", "csv"])
    let live = ["--live", "--trace-clock", "--socket", daemon.socketPath]
    let asked = try Program.run(arguments + live + ["--format", "csv"])
    #expect(asked.exitCode == 0, "\(asked.errors)")
    let decisions = [alone, asked].map { result in
      result.output.split(separator: "\n").map {
        $0.split(separator: ",")[..<6].joined(separator: ",")
      }
    }
    #expect(decisions[0].count == 4948)
    #expect(decisions[0] == decisions[1])
  }

  @Test func aLiveReplaySaysOnWhichClockAndIsRefusedTheTracesWhereTheDaemonForbidsIt() throws {
    let daemon = try TestDaemon()
    let trace = "time,tenant,policy\n1,acme,many\n"
    let arguments = [
      "replay", "--config", daemon.configPath, "--live", "--socket", daemon.socketPath, "-",
    ]
    let refused = try Program.run(arguments + ["--trace-clock"], input: trace)
    #expect(refused.exitCode == 1)
    #expect(refused.errors.contains("--trace-clock"))
    let report = try Program.run(arguments + ["--yes", "--format", "report"], input: trace)
    #expect(report.exitCode == 0, "\(report.errors)")
    #expect(report.errors.contains("warning: the rows are charged to the daemon's tenants"))
    let words = report.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(words.contains("on its own clock,"))
  }

  @Test func anErrorSaysTheNextStep() throws {
    let away = try Program.run(["ping", "--socket", "/nonexistent/s"])
    #expect(away.errors.contains("start limitd (systemctl start limitd)"))
    #expect(away.errors.contains("LIMITD_SOCKET"))
    let daemon = try TestDaemon()
    let mistyped = try Program.run(
      ["check", "acme", "fwe", "--socket", daemon.socketPath],
      environment: ["LIMITD_CONFIG": daemon.configPath])
    #expect(mistyped.exitCode == 1)
    #expect(mistyped.errors.contains("did you mean 'few'?"), "\(mistyped.errors)")
    let unknown = try Program.run(
      ["check", "acme", "nope", "--socket", daemon.socketPath],
      environment: ["LIMITD_CONFIG": "/nonexistent"])
    #expect(unknown.errors.contains("it was asked for 'nope'; "), "\(unknown.errors)")
    let long = try Program.run([
      "check", "acme", "few", "--key", String(repeating: "k", count: 1025), "--socket",
      daemon.socketPath,
    ])
    #expect(long.errors.contains("a key has at most 1024 bytes here, not 1025"))
  }

  @Test(.enabled(if: Host.isRoot, "only root can become another user"))
  func aUserWhoMayNotIsToldWhichGroupMay() throws {
    let daemon = try TestDaemon()
    // Where that user can reach it.
    let program = "\(daemon.folder)/limitctl"
    try FileManager.default.copyItem(atPath: Program.limitctl, toPath: program)
    // Who may open it: its group, root's.
    #expect(chmod(daemon.socketPath, 0o660) == 0)
    let result = try Program.run(
      [
        "--reuid", "\(Host.otherUser)", "--regid", "\(Host.otherUser)", "--clear-groups", "--",
        program, "ping",
        "--socket",
        daemon.socketPath,
      ], program: Program.installed("setpriv") ?? "setpriv")
    #expect(result.errors.contains("the group 'root' may"), "\(result.errors)")
    #expect(result.exitCode == 3)
  }
}
