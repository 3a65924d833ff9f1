// Runs as a whole: order, several files, malformed rows, comparison.

import Foundation
import LimitConsole
import LimitEngine
import TestSupport
import Testing

@testable import LimitReplay

private let header = "time,tenant,policy,key,cost\n"

@Suite struct RunTests {
  private let policies = policySet(tokenBucket(1, per: .second, burst: 2))

  @Test func theSameInputPrintsTheSameOutput() throws {
    var trace = header
    var generator = SeededGenerator(seed: 17)
    for number in 0..<5000 {
      let tenant = Int.random(in: 0..<50, using: &generator)
      let cost = Int.random(in: 0...3, using: &generator)
      trace += "\(number / 10).\(number % 10),t\(tenant),p,k\(cost),\(cost)\n"
    }
    for format in [ReplayOptions.Format.csv, .json, .report] {
      let first = try replay([trace], under: policies) { $0.format = format }
      let second = try replay([trace], under: policies) { $0.format = format }
      #expect(first.output == second.output)
      #expect(!first.output.isEmpty)
    }
  }

  @Test func severalFilesAreOneTrace() throws {
    let whole = try replay([header + "1,t,p,,2\n1.5,t,p,,1\n2,t,p,,1\n"], under: policies)
    let parts = try replay(
      [header + "1,t,p,,2\n1.5,t,p,,1\n", header + "2,t,p,,1\n"],
      under: policies
    )
    #expect(parts.output == whole.output)
    #expect(parts.rows.count == 3)
  }

  @Test func timeMustNotGoBack() throws {
    let result = try replay([header + "5,t,p,,1\n5,t,p,,1\n1.8,t,p,,1\n"], under: policies)
    #expect(
      result.error
        == .malformed(
          file: "t1",
          line: 4,
          what: "the time goes back by 3.2 s; rows come in order of time, "
            + "or sort them with --reorder 4s"
        )
    )
    let across = try replay(
      [header + "5,t,p,,1\n", header + "4,t,p,,1\n"],
      under: policies
    )
    guard case .malformed("t2", 2, _) = across.error else {
      Issue.record("time goes back from file to file: \(String(describing: across.error))")
      return
    }
  }

  @Test func reorderedRowsComeOutInOrderOfTime() throws {
    let shuffled = header + "10,t,p,a,1\n8,t,p,b,1\n10,t,p,c,1\n9,t,p,d,1\n30,t,p,e,1\n"
    let result = try replay([shuffled], under: policies) { $0.reorder = 5_000_000_000 }
    let sorted = try replay(
      [header + "8,t,p,b,1\n9,t,p,d,1\n10,t,p,a,1\n10,t,p,c,1\n30,t,p,e,1\n"],
      under: policies
    )
    #expect(result.error == nil)
    #expect(result.output == sorted.output)
  }

  @Test func aMalformedRowEndsTheRunAfterTheRowsBeforeIt() throws {
    let result = try replay([header + "1,t,p,,1\nx,t,p,,1\n2,t,p,,1\n"], under: policies)
    #expect(result.rows.count == 1)
    #expect(
      result.error
        == .malformed(
          file: "t1",
          line: 3,
          what: "cannot read the time 'x'; \(TraceTime.expectation)"
        )
    )
  }

  @Test func whatWasReadBeforeAnErrorIsReported() throws {
    let trace = header + "1,t,p,,1\n1,t,p,,1\nx,t,p,,1\n2,t,p,,1\n"
    let report = try replay([trace], under: policies) { options in
      options.format = .report
      options.reorder = 60_000_000_000
    }
    #expect(report.output.contains("Totals  2 rows"))
    #expect(report.output.hasSuffix("  This is not all: an error ended the run here.\n"))
    guard case .malformed("t1", 4, _) = report.error else {
      Issue.record("\(String(describing: report.error))")
      return
    }
    let json = try replay([trace], under: policies) { $0.format = .json }
    #expect(json.output.contains("\"is_complete\": false"))
    #expect(json.output.contains("\"rows\": 2"))
  }

  @Test(arguments: [
    header + "1,t,p,,1\n2,t,p", header + "1,t,p,,1\n2,t,p,\"cut",
    "h - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200\nh - - [17/May/20",
  ])
  func aCutLastLineIsOnlyCounted(trace: String) throws {
    let result = try replay([trace], under: policies) { options in
      options.policy = trace.hasPrefix("h") ? "p" : nil
      options.format = .json
    }
    #expect(result.error == nil)
    #expect(result.output.contains("\"cut_lines\": 1"))
    #expect(result.output.contains("\"rows\": 1"))
    #expect(
      result.told.last?.hasSuffix("the last line is cut off; it is counted, not decided") == true)
  }

  @Test(arguments: [
    ("a b", "k", "is no tenant"), ("a\u{0}b", "k", "is no tenant"),
    (String(repeating: "t", count: 256), "k", "is no tenant"),
    ("t", String(repeating: "k", count: 1025), "a key has at most 1024 bytes here, not 1025"),
  ])
  func whatTheDaemonRefusesReplayRefuses(tenant: String, key: String, why: String) throws {
    let good = String(repeating: "t", count: 255) + ",p," + String(repeating: "k", count: 1024)
    let trace = header + "1,\(good),1\n1,\(tenant),p,\(key),1\n"
    let result = try replay([trace], under: policies)
    #expect(result.rows.count == 1)
    guard case .malformed("t1", 3, let what) = result.error else {
      Issue.record("\(String(describing: result.error))")
      return
    }
    #expect(what.contains(why))
  }

  @Test func anAccessLogIsRecognisedAndSaidToBe() throws {
    let line =
      "school.example:443 192.0.2.7 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1\n"
    let result = try replay([line], under: policies) { options in
      options.policy = "p"
      options.tenantFrom = "vhost"
      options.format = .report
    }
    #expect(result.told == ["t1 is an access log, format vhost-combined"])
    #expect(result.output.contains("read as  an access log, format vhost-combined"))
    #expect(result.output.contains("school.example"))
    #expect(throws: ReplayError.self) { try replay([line], under: policies) }
    let asked = try replay([line], under: policies) { options in
      options.policy = "p"
      options.input = .accessLog(.combined)
    }
    #expect("\(asked.error!)".contains("--input vhost-combined"))
  }

  @Test func anUnknownPolicyIsAMalformedRow() throws {
    let result = try replay([header + "1,t,q,,1\n"], under: policies)
    #expect(
      result.error
        == .malformed(file: "t1", line: 2, what: "no policy 'q' in policy.yaml, which has 'p'")
    )
    let compared = try replay(
      [header + "1,t,gateway,,1\n"],
      under: examplePolicySet(),
      policies
    ) { $0.format = .report }
    #expect(
      compared.error
        == .malformed(
          file: "t1",
          line: 2,
          what: "no policy 'gateway' in other.yaml, which has 'p'"
        )
    )
  }

  @Test func malformedRowsAreCountedAndSkippedWhenAsked() throws {
    var trace = header + "1,t,p,,1\n"
    for _ in 0..<7 { trace += "x,t,p,,1\n" }
    trace += "2,t,p,,1\n0,t,p,,1\n3,t,p,,1\n"
    let result = try replay([trace], under: policies) { $0.skipsBadRows = true }
    #expect(result.error == nil)
    #expect(result.rows.count == 3)
    #expect(result.told.count == 7)
    #expect(result.told[0].hasPrefix("t1:3: cannot read the time 'x'"))
    #expect(result.told[5...] == ["… and 3 more", "8 malformed rows skipped"])
    let report = try replay([trace], under: policies) { options in
      options.skipsBadRows = true
      options.format = .report
    }
    #expect(report.output.contains("8 malformed rows skipped."))
  }

  @Test func aBadHeaderIsNoRowToSkip() throws {
    let result = try replay(["when,tenant,policy\n1,t,p\n"], under: policies) {
      $0.skipsBadRows = true
    }
    guard case .unreadable = result.error else {
      Issue.record("\(String(describing: result.error))")
      return
    }
  }

  @Test func softThresholdsAndShadowsAreCounted() throws {
    let soft = policySet(slidingWindow(10, .minute), soft: 8)
    let trace = header + "1,t,p,,7\n1,t,p,,1\n1,t,p,,2\n"
    let json = try replay([trace], under: soft) { $0.format = .json }
    #expect(json.output.contains("\"soft_threshold\": 2"))
    let shadow = policySet(tokenBucket(1, per: .second, burst: 2), mode: .shadow)
    let shadowed = try replay([header + "1,t,p,,2\n1,t,p,,1\n"], under: shadow) {
      $0.format = .json
    }
    #expect(shadowed.output.contains("\"admitted\": 2"))
    #expect(shadowed.output.contains("\"shadow_denied\": 1"))
  }

  /// Two limits in the shadow and one that denies; `free` is not limited.
  @Test func limitsThatWouldHaveDeniedAreCountedEachForItself() throws {
    var builder = PolicySetBuilder()
    let limits = [("small", 1, LimitMode.shadow), ("large", 9, .enforce), ("medium", 2, .shadow)]
      .map { name, burst, mode in
        builder.addLimit(
          LimitDefinition(
            name: name, scope: .tenant,
            settings: LimitSettings(
              parameters: tokenBucket(1, per: .day, burst: UInt64(burst)), mode: mode)))
      }
    builder.addPolicy(named: "p", limits: limits)
    builder.anyTenant = .init()
    builder.addTenant(named: "free", .init(standing: .unlimited))
    let policies = builder.build(hashKey: ReplaySide.hashKey)
    let trace = header + String(repeating: "1,t,p,,1\n", count: 3) + "1,free,p,,9\n1,free,p,,9\n"
    let csv = try replay([trace], under: policies)
    #expect(
      csv.rows.map { $0.split(separator: ",", omittingEmptySubsequences: false).last }
        == ["", "small", "small medium", "small medium", "small large medium"])
    let json = try replay([trace], under: policies) { $0.format = .json }
    let document = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
    let counts = try #require((document as? [String: Any])?["limits"] as? [[String: Any]])
    #expect(counts.map { $0["limit"] as? String } == ["small", "large", "medium"])
    #expect(counts.map { $0["shadow_denied"] as? Int } == [2, 0, 1])
    #expect(counts.map { $0["beyond_limits"] as? Int } == [2, 1, 2])
    let report = try replay([trace], under: policies) { $0.format = .report }
    #expect(report.output.contains(/tightest +shadow +beyond\n/))
    #expect(report.output.contains(/small .* 2 +2\n/))
    #expect(report.output.contains(/large .* 0 +1\n/))
  }

  @Test func bothSidesOfAComparisonSeeTheSameRows() throws {
    let other = policySet(tokenBucket(1, per: .second, burst: 1))
    let trace = header + "1,t,p,,1\n1,t,p,,1\n1,u,p,,1\n1,w,p,,3\n"
    let result = try replay([trace], under: policies, other) { $0.format = .report }
    #expect(result.output.contains("under B: 0 better off, 1 worse off, 2 as before"))
    #expect(result.output.contains(/t +2 +2 +1 +−1 +worse off/))
    let back = try replay([trace], under: other, policies) { $0.format = .report }
    #expect(back.output.contains(/t +2 +1 +2 +\+1 +better off/))
  }
}
