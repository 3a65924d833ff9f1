// Series of tenants that no rule names: those that are used much have some, exactly from when they have.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct SeriesByUseTests {
    private static let places = #"limitd_counted_pairs{by="use"}"#

    /// What was decided under the policy `many`, by tenant.
    private func allowed(_ daemon: TestDaemon) throws -> [String: UInt64] {
      var counts: [String: UInt64] = [:]
      let series =
        /limitd_decisions_total\{tenant="([^"]+)",policy="many",limit="many",result="allow"\} ([0-9]+)/
      for match in try daemon.ask("GET", "/metrics").text.matches(of: series) {
        counts[String(match.output.1)] = UInt64(match.output.2)
      }
      return counts
    }

    /// Three tenants without a name, of which each client has one by a handle and asks for one by its name.
    private struct Clients {
      let peers: [Peer]
      private(set) var asked: UInt64 = 0
      private var invented = 0

      init(_ daemon: TestDaemon) throws {
        peers = try (0..<4).map { number in
          let peer = try daemon.peer()
          try peer.bind(0, "school-\(number % 2)", "many")
          return peer
        }
      }

      /// One query by each handle, one by each client on the third tenant and on one that has a name.
      mutating func ask() throws {
        for peer in peers {
          for request in [
            Request.query(handle: 0), Request.query("school-2", "many"),
            Request.query("acme", "many"),
          ] {
            _ = try peer.decide(request)
            asked += 1
          }
        }
      }

      /// Queries on names that nobody has used before.
      mutating func flood() throws {
        for peer in peers {
          for _ in 0..<50 { _ = try peer.decide(Request.query(inventedName(), "many")) }
          asked += 50
        }
      }

      private mutating func inventedName() -> String {
        invented += 1
        return "invented-\(invented)"
      }
    }

    @Test(
      "Tenants that are used much come under their names, invented ones do not; no count is lost")
    func schools() throws {
      let daemon = try TestDaemon { $0.settings = "  workers: 2" }
      var clients = try Clients(daemon)
      var last: [String: UInt64] = [:]
      /// All series together are what was asked for, and none went back.
      func look() throws {
        let now = try allowed(daemon)
        #expect(now.values.reduce(0, +) == clients.asked)
        #expect(last.allSatisfy { now[$0.key] ?? 0 >= $0.value }, "\(last) before \(now)")
        last = now
      }
      let names = ["school-0", "school-1", "school-2"]
      try wait(for: "places") {
        try clients.ask()
        try clients.flood()
        try look()
        return names.allSatisfy { last[$0] != nil }
      }
      // Each loop counts one group more as it did before.
      try wait(for: "all loops") {
        let before = last
        try clients.ask()
        try look()
        return before["_other"] == last["_other"]
      }
      #expect(try daemon.metric(Self.places) == 3)
      #expect(Set(last.keys) == Set(names + ["acme", "_other"]))
      #expect(last["acme"].map { $0 % 4 == 0 } == true)
      #expect(
        try daemon.metric(#"limitd_tenant_remaining{tenant="school-2",limit="many"}"#) > 0)
      // From here on each is exact, whatever becomes of the rules and of its name.
      let changes: [(String, () throws -> Void)] = [
        ("nothing", {}),
        (
          "a reload",
          { try daemon.reload(policy: DaemonOptions.defaultPolicy + "\n  more: {}") }
        ),
        (
          "a name",
          {
            let own = #"{"settings": [{"limit": "few", "parameter": "burst", "value": "9"}]}"#
            let answer = try daemon.ask("PATCH", "/v1/tenants/school-2", own)
            #expect(answer.status == 200, "\(answer.text)")
          }
        ),
        (
          "its end",
          {
            let answer = try daemon.ask("DELETE", "/v1/tenants/school-2/overrides")
            #expect(answer.status == 200)
          }
        ),
      ]
      for (what, change) in changes {
        let before = last
        try change()
        for _ in 0..<10 { try clients.ask() }
        try look()
        for (name, more) in [("acme", 40), ("school-0", 20), ("school-1", 20), ("school-2", 40)] {
          #expect(last[name] == before[name].map { $0 + UInt64(more) }, "\(name) after \(what)")
        }
        #expect(last["_other"] == before["_other"], "after \(what)")
      }
      #expect(try daemon.metric(Self.places) == 3)
    }
  }
}
