// What is set at run time as a whole: modes of limits, imports, the rules that come of it; and buckets that
// are made as if never used.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct OverridesTests {
    private func daemon(_ settings: String = "") throws -> TestDaemon {
      try .forAdministrators {
        $0.policy = $0.policy.replacing(
          "tenants:", with: "plans: {pro: {few: {burst: 50, mode: enforce}}}\ntenants:")
        $0.settings = settings
      }
    }

    private func done(
      _ daemon: TestDaemon, _ method: String, _ target: String, _ body: String? = nil
    ) throws -> AdminAnswer {
      let answer = try daemon.ask(method, target, body)
      #expect(answer.status == 200, "\(method) \(target): \(answer.text)")
      return answer
    }

    @Test("A limit in the shadow denies nobody, over restarts, until it is taken back")
    func shadow() throws {
      let daemon = try daemon()
      let client = try daemon.peer()
      let use = Request.query("acme", "few", cost: 4, key: "k")
      #expect(try client.decide(use).isAllowed)
      #expect(try !client.decide(use).isAllowed)
      _ = try done(daemon, "PATCH", "/v1/tenants/acme", #"{"plan": "pro"}"#)
      _ = try done(daemon, "PUT", "/v1/limits/few/mode", #"{"mode": "shadow"}"#)
      for _ in 1...20 { #expect(try client.decide(use).isAllowed) }
      daemon.kill()
      try daemon.startForAdministrators()
      #expect(try daemon.peer().decide(use).isAllowed)
      #expect(try daemon.ask("GET", "/v1/limits/few").json["mode"] as? String == "shadow")
      _ = try done(daemon, "DELETE", "/v1/limits/few/mode")
      let after = try daemon.peer()
      for _ in 1...20 { _ = try after.decide(use) }
      #expect(try !after.decide(use).isAllowed)
      let entries = try #require(
        daemon.ask("GET", "/v1/audit?limit=2").json["entries"] as? [[String: Any]])
      #expect(entries[0]["action"] as? String == "limit mode")
      #expect(entries[0]["limit"] as? String == "few" && entries[0]["from"] as? String == "shadow")
    }

    // MARK: Import

    @Test("An import is made for all of its tenants or for none, and replaces what they had")
    func importing() throws {
      let daemon = try daemon()
      _ = try done(daemon, "PATCH", "/v1/tenants/acme", #"{"plan": "pro"}"#)
      _ = try done(daemon, "PATCH", "/v1/tenants/other", #"{"plan": "pro"}"#)
      let bad = #"""
        {"tenants": [{"tenant": "acme"}, {"tenant": "x", "block": {"reason": "r"}},
                     {"tenant": "y", "plan": "none"}]}
        """#
      #expect(try daemon.ask("POST", "/v1/overrides", bad).status == 422)
      #expect(try daemon.ask("GET", "/v1/overrides").json["total"] as? Int == 2)
      let many = (0..<3000).map { #"{"tenant": "t\#($0)", "block": {"reason": "r\#($0)"}}"# }
      let body = { (isDry: Bool) in
        #"{"dry_run": \#(isDry), "tenants": [{"tenant": "acme", "settings": [{"limit": "few", "#
          + #""parameter": "burst", "value": "9"}]}, \#(many.joined(separator: ", "))]}"#
      }
      #expect(body(false).utf8.count > 65_536)
      let dry = try done(daemon, "POST", "/v1/overrides", body(true))
      #expect(dry.json["difference_count"] as? Int == 3001)
      #expect((dry.json["differences"] as? [Any])?.count == 1000)
      #expect(try daemon.peer().decide(Request.query("t7", "few", .peek)).isAllowed)
      _ = try done(daemon, "POST", "/v1/overrides", body(false))
      let client = try daemon.peer()
      #expect(try client.decide(Request.query("acme", "few", .peek)).capacity == 9)
      #expect(try client.decide(Request.query("other", "few", .peek)).capacity == 50)
      #expect(try !client.decide(Request.query("t2999", "few", .peek)).isAllowed)
      #expect(try daemon.ask("GET", "/v1/overrides?offset=3000").json["total"] as? Int == 3002)
      daemon.kill()
      try daemon.startForAdministrators()
      #expect(try daemon.ask("GET", "/v1/overrides").json["total"] as? Int == 3002)
    }

    @Test(
      "Only an administrator may send a large body", .enabled(if: Host.isRoot, "needs root"))
    func largeBodies() throws {
      let daemon = try daemon(
        "  admin-socket: {mode: 666}\n  access:\n    - {user: 65534, roles: [observe]}")
      let peer = try AdminPeer(daemon, user: Host.otherUser)
      try peer.send("POST /v1/overrides HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n")
      _ = try peer.sendSome(String(repeating: " ", count: 200_000))
      #expect(try peer.receive()?.status == 413)
      // Nor he on any other path, nor too large a one.
      for (target, count) in [("/v1/peek", 70_000), ("/v1/overrides", 17 << 20)] {
        let peer = try AdminPeer(daemon)
        try peer.send("POST \(target) HTTP/1.1\r\nhost: x\r\ncontent-length: \(count)\r\n\r\n")
        let part = String(repeating: " ", count: 1 << 16)
        var left = count
        while left > 0, (try? peer.send(String(part.prefix(left)))) != nil { left -= part.count }
        #expect(try peer.receive()?.status == 413, "\(target)")
      }
    }

    // MARK: Rules

    @Test("The rules in force say where each value was written")
    func rules() throws {
      let daemon = try daemon()
      _ = try done(
        daemon, "PATCH", "/v1/tenants/acme",
        #"{"plan": "pro", "settings": [{"limit": "budget", "parameter": "soft", "value": "80%"}]}"#)
      _ = try done(daemon, "PUT", "/v1/limits/many/mode", #"{"mode": "shadow"}"#)
      _ = try done(daemon, "PUT", "/v1/tenants/late/block", #"{"reason": "r"}"#)
      let entries = try #require(
        done(daemon, "GET", "/v1/rules?limit=1000").json["entries"] as? [[String: Any]])
      func sources(_ kind: String, _ name: String) throws -> [String: String] {
        let entry = try #require(
          entries.first { $0["kind"] as? String == kind && $0["name"] as? String == name })
        let values = try #require(entry["values"] as? [[String: Any]])
        return Dictionary(
          uniqueKeysWithValues: values.map { value in
            let place = (value["line"] as? Int).map { "\($0)" } ?? value["source"] as? String ?? ""
            return (value["name"] as? String ?? "", "\(value["value"] ?? "") \(place)")
          })
      }
      #expect(try sources("limit", "many")["mode"] == "shadow run time")
      #expect(try sources("limit", "few")["burst"] == "5 2")
      #expect(try sources("plan", "pro")["few.burst"] == "50 12")
      #expect(
        try sources("tenant", "acme") == ["plan": "pro run time", "budget.soft": "80% run time"])
      #expect(try sources("tenant", "late") == ["blocked": "true run time"])
      #expect(try sources("tenant", "banned") == ["blocked": "true 16"])
      #expect(try sources("policy", "all")["limits"] == "many, few, held 11")
    }

    // MARK: Buckets

    @Test("A reset gives back what was used, of the tenant, a limit or a key, and is recorded")
    func reset() throws {
      let daemon = try daemon()
      let client = try daemon.peer()
      for key in ["a", "b"] {
        #expect(try client.decide(Request.query("acme", "few", cost: 5, key: key)).isAllowed)
      }
      #expect(try client.decide(Request.query("acme", "budget", cost: 900)).isAllowed)
      func left() throws -> [UInt64] {
        try [("few", "a"), ("few", "b"), ("budget", "k")].map {
          try client.decide(Request.query("acme", $0.0, .peek, key: $0.1)).remaining
        }
      }
      let target = "/v1/tenants/acme/reset"
      #expect(try done(daemon, "POST", target, #"{"key": "a"}"#).json["buckets"] as? Int == 1)
      #expect(try left() == [5, 0, 100])
      #expect(
        try done(daemon, "POST", target, #"{"limit": "budget"}"#).json["buckets"] as? Int == 1)
      #expect(try left() == [5, 0, 1000])
      #expect(try done(daemon, "POST", target).json["buckets"] as? Int == 1)
      #expect(try left() == [5, 5, 1000])
      #expect(try done(daemon, "POST", target).json["buckets"] as? Int == 0)
      daemon.kill()
      try daemon.startForAdministrators()
      let again = try daemon.peer()
      #expect(try again.decide(Request.query("acme", "few", .peek, key: "b")).remaining == 5)
      let entries = try #require(
        daemon.ask("GET", "/v1/audit?tenant=acme").json["entries"] as? [[String: Any]])
      #expect(
        entries.map { $0["to"] as? String } == [
          "0 buckets", "1 buckets", "1 buckets", "1 buckets, key a",
        ])
      #expect(entries.allSatisfy { $0["action"] as? String == "tenant reset" })
    }
  }
}
