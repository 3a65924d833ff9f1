// What /metrics says is what was decided: for whom, by which limit, exactly.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct MetricsTests {
    private func decisions(_ tenant: String, _ policy: String, _ rest: String) -> String {
      "limitd_decisions_total{tenant=\"\(tenant)\",policy=\"\(policy)\",\(rest)}"
    }

    @Test("Decisions are counted by tenant, policy, limit and result; peeks are not")
    func counts() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      for number in 0..<7 {
        // By name and by handle.
        if number == 3 { try client.bind(0, "acme", "few") }
        _ = try client.decide(
          number < 3 ? Request.query("acme", "few", key: "k") : Request.query(key: "k"))
        _ = try client.decide(Request.query("acme", "few", .peek, key: "k"))
      }
      _ = try client.decide(Request.query("acme", "few", cost: 6, key: "other"))
      for tenant in ["guest-1", "guest-2"] {
        _ = try client.decide(Request.query(tenant, "many", cost: 40))
      }
      _ = try client.decide(Request.query("banned", "many"))
      let expected: [(String, UInt64)] = [
        (decisions("acme", "few", #"limit="few",result="allow""#), 5),
        (decisions("acme", "few", #"limit="few",result="deny""#), 2),
        (decisions("acme", "few", #"limit="few",result="never""#), 1),
        (decisions("_other", "many", #"limit="many",result="allow""#), 2),
        (decisions("banned", "many", #"result="blocked""#), 1),
        (#"limitd_units_total{tenant="acme",policy="few"}"#, 5),
        (#"limitd_units_total{tenant="_other",policy="many"}"#, 80),
        ("limitd_queries_total", 18),
      ]
      for (series, count) in expected { #expect(try daemon.metric(series) == count, "\(series)") }
    }

    @Test("No decision is lost or counted twice, under load and reloads")
    func underLoad() throws {
      let daemon = try TestDaemon { $0.settings = "  workers: 2" }
      let sent = Tally()
      let door = daemon.door
      try withBackground(4) { background, _ in
        let peer = try door.peer()
        try peer.bind(0, "acme", "many")
        while !background.isOver {
          for id in 0..<50 as Range<UInt32> { try peer.send(Request.query(id: id)) }
          for _ in 0..<50 {
            guard try peer.receive()?.decision?.isAllowed == true else { throw Refused() }
            sent.add(1)
          }
          background.didRound()
        }
      } during: { background in
        try wait(for: "load") { background.roundCount > 20 }
        var last: UInt64 = 0
        for round in 1...5 {
          try daemon.reload(policy: DaemonOptions.defaultPolicy + "\n  round-\(round): {}")
          let now = try daemon.metric(decisions("acme", "many", #"limit="many",result="allow""#))
          #expect(now >= last, "a counter went back")
          last = now
        }
        #expect(background.failureCount == 0)
      }
      #expect(
        try daemon.metric(decisions("acme", "many", #"limit="many",result="allow""#))
          == UInt64(sent.counts[0]))
    }

    private struct Refused: Error {}

    @Test("Series are bounded, whatever the tenants: 4,096 of their own, the rest together")
    func bounded() throws {
      let count = 5000
      let names = (0..<count).map { "  t\($0): {}\n" }.joined()
      let daemon = try TestDaemon { $0.policy += "\n" + names }
      let client = try daemon.peer()
      for number in 0..<count {
        _ = try client.decide(Request.query("t\(number)", "many", id: UInt32(number)))
      }
      let text = try daemon.ask("GET", "/metrics").text
      let series = text.split(separator: "\n").filter {
        $0.hasPrefix("limitd_decisions_total{")
      }
      #expect(series.count == 4097)
      #expect(
        try daemon.metric(decisions("_other", "many", #"limit="many",result="allow""#))
          == UInt64(count - 4096))
      // One that has a series keeps it.
      _ = try client.decide(Request.query("t0", "many"))
      #expect(try daemon.metric(decisions("t0", "many", #"limit="many",result="allow""#)) == 2)
    }

    @Test("A tenant may be called whatever it is called, and the text can still be read")
    func names() throws {
      let daemon = try TestDaemon {
        $0.policy += "\n" + #"  "a\"b\\c": {}"# + "\n  _other: {}\n"
      }
      let client = try daemon.peer()
      for tenant in [#"a"b\c"#, "_other", "guest"] {
        _ = try client.decide(Request.query(tenant, "many"))
      }
      #expect(
        try daemon.metric(decisions(#"a\"b\\c"#, "many", #"limit="many",result="allow""#)) == 1)
      #expect(try daemon.metric(decisions("_other", "many", #"limit="many",result="allow""#)) == 2)
    }

    @Test("promtool finds nothing to say", .enabled(if: promtool != nil, "needs promtool"))
    func format() throws {
      let daemon = try TestDaemon()
      _ = try daemon.peer().decide(Request.query("acme", "many"))
      _ = try daemon.ask("POST", "/v1/snapshot")
      let path = "\(daemon.folder)/metrics"
      try Data(daemon.ask("GET", "/metrics").body).write(to: URL(filePath: path))
      let result = try run("/bin/sh", ["-c", "\(promtool!) check metrics <\(path)"])
      #expect(result.code == 0 && result.output + result.errors == "")
    }
  }
}

private let promtool = ["/usr/bin/promtool"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}
