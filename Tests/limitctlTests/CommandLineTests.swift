// The program as a whole: what it says to slips, where output goes, how it ends.

import Foundation
import Testing

private let policy = "examples/policy.yaml"

@Suite struct CommandLineTests {
  @Test func versionsAreTold() throws {
    let own = try Program.run(["--version"])
    #expect(own.output.hasPrefix("limitctl 0."))
    #expect(own.exitCode == 0)
    let both = try Program.run(["version", "--socket", "/nonexistent/s"])
    #expect(both.output.hasPrefix("limitctl  0."))
    #expect(both.errors.contains("/nonexistent/s"))
    #expect(both.exitCode == 3)
    let json = try Program.run(["version", "--json", "--socket", "/nonexistent/s"])
    #expect(json.output.contains("\"format\": \"limitctl-version/1\""))
    #expect(json.output.contains("\"limitd\": null"))
  }

  @Test(arguments: [
    ["--socket", "/nonexistent/s", "ping"], ["ping", "--socket", "/nonexistent/s"],
  ])
  func theSocketMayStandBeforeOrBehindTheCommand(arguments: [String]) throws {
    let result = try Program.run(arguments)
    #expect(result.exitCode == 3)
    #expect(result.errors.contains("/nonexistent/s"))
  }

  @Test(arguments: [
    (["chek"], "limitctl has no command 'chek'; did you mean 'check'?", "Usage: limitctl "),
    (["config", "explian"], "did you mean 'explain'?", "Usage: limitctl config <subcommand>"),
    (["help", "NOPE"], "limitctl has no command 'NOPE'; it has check,", "Usage: limitctl "),
    (["check", "acme"], "Missing expected argument '<policy>'", "Usage: limitctl check "),
    (
      ["replay", "--config", "x", "--input", "combind", "x"], "did you mean combined?",
      "limitctl replay"
    ),
    (["replay", "--config", "x", "--live", "x"], "Add --yes", "limitctl replay"),
  ])
  func aSlipIsToldWithWhatWasMeantAndTheUsageAtHand(
    arguments: [String], message: String, usage: String
  ) throws {
    let result = try Program.run(arguments)
    #expect(result.exitCode == 64)
    #expect(result.output == "")
    #expect(result.errors.contains(message), "\(result.errors)")
    #expect(result.errors.contains(usage), "\(result.errors)")
  }

  @Test(arguments: [
    ["--help"], ["config", "check", policy], ["config", "explain", policy, "acme", "chat"],
    ["--version"], ["replay", "--config", policy, "examples/sample-trace.csv"],
    ["replay", "--config", policy, "--json", "examples/sample-trace.csv"],
  ])
  func outputThatCannotBeWrittenIsAnError(arguments: [String]) throws {
    let result = try Program.run(arguments, outputPath: "/dev/full")
    #expect(result.exitCode == 1, "\(arguments)")
    #expect(result.errors == "limitctl: the output cannot be written: No space left on device\n")
  }

  @Test(arguments: [
    ["\u{1B}[31mx"], ["check", "a", "b", "--\u{1B}[31mx"],
    ["ping", "--socket", "/tmp/\u{1B}[31mx"],
    ["config", "check", "/tmp/\u{1B}[31mx"], ["config", "explain", policy, "acme", "\u{1B}[31mx"],
    ["config", "explain", policy, "\u{1B}[31mx", "chat", "--key", "\u{1B}[31mx"],
    ["replay", "--config", policy, "/tmp/\u{1B}[31mx"],
    ["replay", "--config", policy, "--input", "\u{1B}[31mx", "-"],
    ["snapshot", "info", "/tmp/\u{1B}[31mx"],
  ])
  func whatIsQuotedCannotSteerTheTerminal(arguments: [String]) throws {
    let result = try Program.run(arguments)
    #expect(!(result.output + result.errors).contains("\u{1B}"))
    #expect((result.output + result.errors).contains("·[31mx"), "\(result.errors)")
  }

  @Test func standardInputIsADash() throws {
    let text = try String(contentsOfFile: "\(Program.root)/\(policy)", encoding: .utf8)
    let check = try Program.run(["config", "check", "-"], input: text)
    #expect(check.output.contains("5 limits, 2 policies"))
    let explain = try Program.run(
      ["config", "explain", "-", "acme", "chat", "--json"], input: text)
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(explain.output.utf8)) as? [String: Any])
    #expect(document["format"] as? String == "limitctl-config-explain/1")
    #expect((document["limits"] as? [[String: Any]])?.count == 5)
  }

  @Test func configCheckTellsProgramsEverything() throws {
    let result = try Program.run(
      ["config", "check", "--json", "-", policy], input: "limits: {}\npolicies: {}\n")
    #expect(result.exitCode == 78)
    #expect(result.errors == "")
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    #expect(document["format"] as? String == "limitctl-config-check/1")
    let files = try #require(document["files"] as? [[String: Any]])
    #expect(files.map { $0["is_valid"] as? Bool } == [false, true])
    #expect((files[0]["diagnostics"] as? [[String: Any]])?.first?["line"] as? Int == 1)
  }

  @Test func replayReadsEveryFormatOfTheExamples() throws {
    let hosted = ["--log-format", "$host $remote_addr $msec \"$request\" $status $request_time"]
    let examples: [(file: String, arguments: [String], rows: Int)] = [
      ("sample-trace.csv", [], 4947),
      ("access.log", ["--policy", "gateway"], 240),
      ("logs/nginx-combined.log", ["--policy", "gateway", "--key-from", "path"], 17),
      ("logs/nginx-iso8601.log", ["--policy", "gateway", "--key-from", "user"], 17),
      ("logs/nginx-hosted.log", ["--policy", "gateway", "--key-from", "vhost"] + hosted, 17),
      ("logs/apache-common.log", ["--policy", "gateway", "--key-from", "user"], 17),
      ("logs/apache-common.log.gz", ["--policy", "gateway", "--key-from", "path"], 17),
      ("logs/apache-vhost-combined.log", ["--policy", "gateway", "--tenant-from", "vhost"], 17),
    ]
    for (file, arguments, rows) in examples {
      let path = "examples/\(file)"
      let result = try Program.run(["replay", "--config", policy, "--json"] + arguments + [path])
      #expect(result.exitCode == 0, "\(file): \(result.errors)")
      let document = try #require(
        try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
      let totals = try #require(document["totals"] as? [String: Any])
      #expect(totals["rows"] as? Int == rows, "\(file)")
      #expect(document["is_complete"] as? Bool == true)
    }
  }
}
