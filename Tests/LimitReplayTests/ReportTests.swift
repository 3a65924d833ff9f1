// What people and scripts read of a run. Snapshots lie in Tests/Snapshots; to write them anew, run
// the tests with LIMITD_UPDATE_SNAPSHOTS=1 and look at the difference.

import Foundation
import LimitConsole
import LimitEngine
import Testing

@testable import LimitReplay

private func sampleTrace() throws -> String {
  try String(
    contentsOf: packageRoot.appending(path: "examples/sample-trace.csv"),
    encoding: .utf8
  )
}

private func expectSnapshot(_ text: String, _ name: String) throws {
  let file = packageRoot.appending(path: "Tests/Snapshots/\(name)")
  if ProcessInfo.processInfo.environment["LIMITD_UPDATE_SNAPSHOTS"] == "1" {
    try text.write(to: file, atomically: true, encoding: .utf8)
  }
  let expected = try String(contentsOf: file, encoding: .utf8)
  #expect(text == expected, "differs from Tests/Snapshots/\(name)")
}

@Suite struct ReportTests {
  @Test(arguments: [80, 120])
  func theReportFitsTheTerminal(width: Int) throws {
    let result = try replay(
      [try sampleTrace()],
      under: examplePolicySet(),
      terminal: Terminal(width: width)
    ) { $0.format = .report }
    let lines = result.output.split(separator: "\n")
    #expect(lines.allSatisfy { $0.count <= width && $0.last != " " })
    #expect(!result.output.contains("\u{1B}"))
    try expectSnapshot(result.output, "replay-report-\(width).txt")
  }

  @Test func theComparisonShowsWhoIsBetterOff() throws {
    let result = try replay(
      [try sampleTrace()],
      under: examplePolicySet(),
      examplePolicySet(scale: 2)
    ) { $0.format = .report }
    #expect(result.output.contains("under B: 1 better off, 0 worse off, 6 as before"))
    try expectSnapshot(result.output, "replay-comparison-80.txt")
    let back = try replay(
      [try sampleTrace()],
      under: examplePolicySet(scale: 2),
      examplePolicySet()
    ) { $0.format = .report }
    #expect(back.output.contains("under B: 0 better off, 1 worse off, 6 as before"))
  }

  @Test func colourAddsNothingButColour() throws {
    let trace = try sampleTrace()
    let plain = try replay([trace], under: examplePolicySet()) { $0.format = .report }
    let coloured = try replay(
      [trace],
      under: examplePolicySet(),
      terminal: Terminal(hasColour: true)
    ) { $0.format = .report }
    #expect(coloured.output != plain.output)
    #expect(coloured.output.replacing(/\u{1B}\[[0-9]+m/, with: "") == plain.output)
  }

  @Test func manyTenantsAreCutToTheTop() throws {
    var trace = "time,tenant,policy\n"
    for tenant in 0..<1753 { trace += "1,t\(tenant),p\n" }
    let policies = policySet(tokenBucket(1, per: .second, burst: 1))
    let result = try replay([trace], under: policies) { $0.format = .report }
    #expect(result.output.contains("… and 1,743 more tenants"))
    let three = try replay([trace], under: policies) { options in
      options.format = .report
      options.top = 3
    }
    #expect(three.output.contains("… and 1,750 more tenants"))
  }

  @Test func namesCannotSteerTheTerminal() throws {
    let result = try replay(
      ["time,tenant,policy,key\n1,t,p,\u{1B}]0;x\u{202E}k\n1,t,p,\u{1B}]0;x\u{202E}k\n"],
      under: policySet(tokenBucket(1, per: .second, burst: 1))
    ) { $0.format = .report }
    #expect(result.output.contains("·]0;x·k"))
    #expect(!result.output.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{202E}" })
  }

  @Test func wideCharactersKeepTheColumns() throws {
    var trace = "time,tenant,policy\n"
    for _ in 0..<3 { trace += "1,学校七,p\n1,school-7,p\n1,🏫🎓,p\n" }
    let result = try replay([trace], under: policySet(tokenBucket(1, per: .second, burst: 1))) {
      $0.format = .report
    }
    let rows = result.output.split(separator: "\n").filter { $0.contains("66.7 %") }.suffix(3)
    #expect(rows.count == 3)
    #expect(Set(rows.map { displayWidth(String($0)) }).count == 1, "\(result.output)")
    #expect(displayWidth("e\u{301}") == 1)
    #expect(displayWidth("👩‍🚀") == 2)
    #expect(cut("学校七学校七", to: 8) == "学校七…")
  }

  @Test func whatUnlimitedTenantsUseBeyondALimitIsCountedForItself() throws {
    let policies = policySet(tokenBucket(1, per: .second, burst: 2))
    let trace = "time,tenant,policy,cost\n1,free,p,2\n1,free,p,2\n1,free,p,1\n"
    let report = try replay([trace], under: policies) { $0.format = .report }
    #expect(report.output.contains("beyond    2"))
    #expect(report.output.contains("unlimited tenants beyond a limit, cost 3"))
    #expect(!report.output.contains("shadow"))
    let json = try replay([trace], under: policies) { $0.format = .json }
    #expect(json.output.contains("\"beyond_limits\": 2"))
    #expect(json.output.contains("\"beyond_limits_cost\": 3"))
    #expect(json.output.contains("\"shadow_denied\": 0"))
  }

  @Test func anEmptyTraceIsReportedAsEmpty() throws {
    let policies = policySet(tokenBucket(1, per: .second, burst: 1))
    let result = try replay(["time,tenant,policy\n"], under: policies) { $0.format = .report }
    #expect(result.output.hasSuffix("  No rows.\n"))
    let json = try replay(["time,tenant,policy\n"], under: policies) { $0.format = .json }
    #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(json.output.utf8)) }
  }

  @Test func theJSONDocumentHoldsWhatTheRowsSay() throws {
    let trace = try sampleTrace()
    let rows = try replay([trace], under: examplePolicySet()).rows.map { row in
      row.split(separator: ",", omittingEmptySubsequences: false)
    }
    let json = try replay([trace], under: examplePolicySet(), examplePolicySet(scale: 2)) {
      $0.format = .json
    }
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
    )
    let totals = try #require(document["totals"] as? [String: Any])
    #expect(document["format"] as? String == "limitctl-replay/1")
    #expect(document["first"] as? String == "2026-03-02T09:00:00.008000000Z")
    #expect(totals["rows"] as? Int == rows.count)
    for (name, word) in [("admitted", "allow"), ("denied", "deny"), ("never", "never")] {
      #expect(totals[name] as? Int == rows.count { $0[5] == word })
    }
    #expect(totals["blocked"] as? Int == rows.count { $0[6] == "(blocked)" })
    let cost = rows.filter { $0[5] == "allow" }.reduce(0) { $0 + Int($1[4])! }
    #expect(totals["admitted_cost"] as? Int == cost)
    for tenant in try #require(document["tenants"] as? [[String: Any]]) {
      let own = rows.filter { $0[1] == tenant["tenant"] as! String }
      #expect(tenant["rows"] as? Int == own.count)
      #expect(tenant["admitted"] as? Int == own.count { $0[5] == "allow" })
    }
    for limit in try #require(document["limits"] as? [[String: Any]]) {
      let name = limit["limit"] as! String
      #expect(limit["denied"] as? Int == rows.count { $0[5] == "deny" && $0[6] == name })
      #expect(limit["tightest"] as? Int == rows.count { $0[5] == "allow" && $0[6] == name })
      let policies = ["api-burst", "user-rps"].contains(name) ? ["gateway", "chat"] : ["chat"]
      let asked = rows.filter { policies.contains(String($0[2])) && $0[6] != "(blocked)" }
      #expect(limit["rows"] as? Int == asked.count)
      #expect(limit["admitted"] as? Int == asked.count { $0[5] == "allow" })
    }
    let bins = try #require(
      (document["timeline"] as? [String: Any])?["bins"] as? [[String: Any]]
    )
    #expect(bins.reduce(0) { $0 + ($1["denied"] as! Int) } == rows.count { $0[5] == "deny" })
    let comparison = try #require(document["comparison"] as? [String: Any])
    #expect(comparison["better_off"] as? Int == 1)
    #expect(comparison["config"] as? String == "other.yaml")
  }
}

@Suite struct NumberTextTests {
  @Test func numbersAreGrouped() {
    #expect(grouped(0) == "0")
    #expect(grouped(999) == "999")
    #expect(grouped(1000) == "1,000")
    #expect(grouped(1_234_567) == "1,234,567")
  }

  @Test func sharesAreRoundedButNeverToNoneOrAll() {
    #expect(percentage(0, of: 0) == "–")
    #expect(percentage(1, of: 3) == "33.3 %")
    #expect(percentage(1, of: 100_000) == "<0.1 %")
    #expect(percentage(99_999, of: 100_000) == "99.9 %")
    #expect(percentage(5, of: 5) == "100.0 %")
  }

  @Test func lengthsOfTimeAreReadable() {
    #expect(durationText(299_000_000_000_000) == "3d 12h")
    #expect(durationText(169_199_000_000_000) == "1d 23h")
    #expect(durationText(3_599_999_999_999) == "1h")
    #expect(durationText(57_247) == "58µs")
    #expect(durationText(.max) == "213503d")
    #expect(latencyText(57_247) == "57.2µs")
    #expect(latencyText(1_040_000) == "1.04ms")
    #expect(latencyText(999) == "999ns")
    #expect(latencyText(12_000_000_000) == "12s")
    #expect(durationText(60_000_000_000) == "1m")
    #expect(durationText(250_000_000) == "250ms")
    #expect(durationText(0) == "0s")
    #expect(seconds(3_200_000_000) == "3.2")
  }

  @Test func jsonTextIsEscaped() {
    #expect(JSONValue.string("a\"\\\n\t\u{1}\u{7F}é").text == #""a\"\\\n\t\u0001\u007fé""#)
    #expect(JSONValue.object([]).text == "{}")
    #expect(JSONValue.array([.null, .number(-1)]).text == "[\n  null,\n  -1\n]")
  }
}
