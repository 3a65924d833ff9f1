// What happened, as the daemon tells it over real sockets: to whom, how soon, and in what bounds.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct EventTests {
    private typealias Object = [String: Any]

    private static let policy = """
      limits:
        few: {algorithm: token-bucket, rate: 1/1d, burst: 5, scope: key}
        quick: {algorithm: token-bucket, rate: 1000/s, burst: 1, scope: tenant}
        total: {algorithm: sliding-window, limit: 10, window: 31d, scope: tenant, soft: 50%}
      policies: {few: [few], quick: [quick], both: [few, total]}
      tenants:
        "*": {}
        acme: {}
        other: {}
        banned: {blocked: true}
      """

    private func daemon(_ adjust: (inout DaemonOptions) -> Void = { _ in }) throws -> TestDaemon {
      try .forAdministrators {
        $0.policy = Self.policy
        adjust(&$0)
      }
    }

    private func page(
      _ daemon: TestDaemon, _ query: String = "?limit=500", user: UInt32? = nil
    ) throws -> Object {
      let answer = try daemon.ask("GET", "/v1/events\(query)", user: user)
      #expect(answer.status == 200, "\(answer.text)")
      return answer.json
    }

    private func events(
      _ daemon: TestDaemon, _ query: String = "?limit=500", user: UInt32? = nil
    ) throws -> [Object] {
      try #require(try page(daemon, query, user: user)["events"] as? [Object])
    }

    /// The first event of a kind, when there is one.
    private func first(
      _ daemon: TestDaemon, _ kind: String, tenant: String? = nil, limit: String? = nil
    ) throws -> Object {
      var found: Object?
      try wait(for: "\(kind) of \(tenant ?? "nobody")", seconds: 90) {
        found = try events(daemon).first {
          $0["kind"] as? String == kind && $0["tenant_id"] as? String == tenant
            && (limit == nil || $0["limit"] as? String == limit)
        }
        return found != nil
      }
      return try #require(found)
    }

    private func change(_ daemon: TestDaemon, _ method: String, _ target: String, _ body: String?)
      throws
    {
      let answer = try daemon.ask(method, target, body)
      #expect(answer.status == 200, "\(method) \(target): \(answer.text)")
    }

    // MARK: What is told

    @Test(
      "A tenant that begins to be denied is told once, with limit and time, and when it is over")
    func denials() throws {
      let daemon = try daemon()
      let client = try daemon.peer()
      for _ in 1...9 { _ = try client.decide(Request.query("acme", "few", key: "bob")) }
      _ = try client.decide(Request.query("banned", "few"))
      let started = try first(daemon, "denial_started", tenant: "acme")
      #expect(started["limit"] as? String == "few" && started["policy"] as? String == "few")
      #expect(started["reason"] as? String == "limit" && (started["id"] as? UInt64 ?? 0) > 0)
      let format = ISO8601DateFormatter()
      format.formatOptions.insert(.withFractionalSeconds)
      let time = try #require(format.date(from: started["time"] as? String ?? ""))
      #expect(abs(time.timeIntervalSinceNow) < 120)
      let banned = try first(daemon, "denial_started", tenant: "banned")
      #expect(banned["reason"] as? String == "blocked" && banned["limit"] == nil)
      let stopped = try first(daemon, "denial_stopped", tenant: "acme")
      #expect(stopped["limit"] as? String == "few" && stopped["duration_seconds"] != nil)
      #expect(try events(daemon, "?tenant=acme").count == 2)
      #expect(daemon.hasLogged("a tenant is denied "))
      #expect(
        daemon.log.contains(/limit=few .*tenant-id=acme/) && !daemon.log.contains("message-id"))
      #expect(!daemon.log.contains("bob"))
    }

    @Test("A soft threshold that is passed is told with the limit that has it")
    func softThreshold() throws {
      let daemon = try daemon()
      let client = try daemon.peer()
      for number in 1...4 { _ = try client.decide(Request.query("acme", "both", key: "\(number)")) }
      _ = try client.decide(Request.query("other", "both", key: "k"))
      for _ in 1...2 { _ = try client.decide(Request.query("acme", "both", key: "5")) }
      let event = try first(daemon, "soft_threshold", tenant: "acme")
      #expect(event["limit"] as? String == "total" && event["policy"] as? String == "both")
      #expect(try events(daemon).count == 1)
    }

    @Test(
      "Changes, blocks, resets, reloads and snapshots that fail are told, by whom, from what, to what"
    )
    func changes() throws {
      let daemon = try daemon { $0.settings = "  snapshot-interval: 1s" }
      try change(
        daemon, "PATCH", "/v1/tenants/acme",
        #"{"settings": [{"limit": "few", "parameter": "burst", "value": "9"}]}"#)
      try change(daemon, "PUT", "/v1/tenants/other/block", #"{"reason": "unpaid"}"#)
      try change(daemon, "PUT", "/v1/limits/few/mode", #"{"mode": "shadow"}"#)
      try change(daemon, "POST", "/v1/tenants/late/reset", nil)
      try change(daemon, "POST", "/v1/reload", nil)
      try daemon.write(policy: "limits: 3")
      #expect(try daemon.ask("POST", "/v1/reload").status == 422)
      let told = try events(daemon)
      #expect(
        told.map { $0["kind"] as? String } == [
          "tenant_changed", "tenant_changed", "limit_changed", "tenant_changed", "reloaded",
          "reload_failed",
        ], "\(told)")
      #expect(told.map { $0["tenant_id"] as? String } == ["acme", "other", nil, "late", nil, nil])
      #expect(told[0]["action"] as? String == "tenant set" && told[0]["author"] is String)
      #expect((told[0]["to"] as? String)?.contains("burst: 9") == true, "\(told[0])")
      #expect((told[1]["to"] as? String)?.contains("unpaid") == true, "\(told[1])")
      #expect(told[2]["limit"] as? String == "few" && told[2]["to"] as? String == "shadow")
      #expect(told[3]["action"] as? String == "tenant reset")
      #expect((told[5]["detail"] as? String)?.contains("limitd.yaml") == true, "\(told[5])")
      let ids = told.compactMap { $0["id"] as? UInt64 }
      #expect(ids.count == 6 && ids == ids.sorted())
      rename(daemon.statePath, daemon.statePath + "-away")
      defer { rename(daemon.statePath + "-away", daemon.statePath) }
      #expect(try first(daemon, "snapshot_failed")["detail"] is String)
      for words in ["a tenant has changed", "a limit has changed"] {
        #expect(daemon.hasLogged(words))
      }
      #expect(daemon.log.contains(/reloaded.* event-id=\d+/))
    }

    // MARK: Following

    @Test("Who waits is answered when it happens, and after its time where nothing does")
    func waiting() throws {
      let daemon = try daemon()
      let start = try #require(try page(daemon)["next_after"] as? UInt64)
      let nothing = try page(daemon, "?after=\(start)&wait=1")
      #expect((nothing["events"] as? [Any])?.isEmpty == true)
      #expect(nothing["next_after"] as? UInt64 == start && nothing["lost"] as? Int == 0)
      let peer = try AdminPeer(daemon)
      try peer.send("GET /v1/events?after=\(start)&wait=60&tenant=acme HTTP/1.1\r\nhost: x\r\n\r\n")
      let client = try daemon.peer()
      for _ in 1...6 { _ = try client.decide(Request.query("other", "few", key: "k")) }
      _ = try first(daemon, "denial_started", tenant: "other")
      for _ in 1...6 { _ = try client.decide(Request.query("acme", "few", key: "k")) }
      let told = try #require(try peer.receive()?.json["events"] as? [Object])
      #expect(told.map { $0["tenant_id"] as? String } == ["acme"])
    }

    @Test("Numbers go on from one run of the daemon to the next")
    func restart() throws {
      let daemon = try daemon()
      try change(daemon, "POST", "/v1/reload", nil)
      let before = try #require(try page(daemon)["next_after"] as? UInt64)
      #expect(try daemon.stop().code == 0)
      try daemon.startForAdministrators()
      try change(daemon, "POST", "/v1/reload", nil)
      let after = try page(daemon, "?after=\(before)")
      #expect((after["events"] as? [Any])?.count == 1 && after["lost"] as? Int == 0)
    }

    @Test(
      "What cannot be asked is refused",
      arguments: [
        "?after=x", "?after=-1", "?wait=3", "?after=1&wait=61", "?limit=0", "?limit=501",
        "?tenant=",
        "?tenant=a%20b", "?since=1",
      ])
    func badQuestions(query: String) throws {
      let daemon = try daemon()
      let answer = try daemon.ask("GET", "/v1/events\(query)")
      #expect(answer.status == 400 && answer.headers["content-type"] == "application/problem+json")
    }

    // MARK: Who may

    @Test(
      "Who may observe one tenant sees that one's events, also while waiting, and loses them with the role",
      .enabled(if: Host.isRoot, "needs root"))
    func oneTenant() throws {
      func settings(_ tenants: String) -> String {
        """
          admin-socket: {mode: 666}
          access:
            - {user: 65534, roles: [observe], tenants: [\(tenants)]}
        """
      }
      let daemon = try daemon { $0.settings = settings("acme") }
      let start = try #require(try page(daemon)["next_after"] as? UInt64)
      let peer = try AdminPeer(daemon, user: Host.otherUser)
      let question = "GET /v1/events?after=\(start)&wait=60 HTTP/1.1\r\nhost: x\r\n\r\n"
      try peer.send(question)
      for tenant in ["other", "acme"] {
        try change(daemon, "PUT", "/v1/tenants/\(tenant)/block", #"{"reason": "secret"}"#)
      }
      try change(daemon, "POST", "/v1/reload", nil)
      let told = try #require(try peer.receive())
      #expect((told.json["events"] as? [Object])?.map { $0["tenant_id"] as? String } == ["acme"])
      #expect(!told.text.contains("other"))
      #expect(try events(daemon, "", user: Host.otherUser).count == 1)
      #expect(
        try daemon.ask("GET", "/v1/events?tenant=other", user: Host.otherUser).status == 403)
      // A role that goes is gone for who waits, too.
      let now = try #require(try page(daemon)["next_after"] as? UInt64)
      try peer.send(
        "GET /v1/events?after=\(now)&wait=3 HTTP/1.1\r\nhost: x\r\n\r\n")
      try daemon.write(policy: Self.policy, settings: settings("other"))
      try change(daemon, "POST", "/v1/reload", nil)
      try change(daemon, "DELETE", "/v1/tenants/acme/block", nil)
      #expect((try peer.receive()?.json["events"] as? [Object])?.isEmpty == true)
    }

    // MARK: Bounds

    @Test("A reader that is too slow is told how many it lost, and holds nobody up")
    func slowReader() throws {
      let daemon = try daemon()
      let start = try #require(try page(daemon)["next_after"] as? UInt64)
      // Some that ask and never read, and go away.
      var silent: [AdminPeer] = []
      for _ in 0..<8 {
        let peer = try AdminPeer(daemon)
        for _ in 0..<4 {
          try peer.send("GET /v1/events?limit=500 HTTP/1.1\r\nhost: x\r\n\r\n")
        }
        silent.append(peer)
      }
      let client = try daemon.peer()
      var made = 0
      for round in 0..<45 {
        let tenants = (0..<60).map { #"{"tenant": "t\#(round)-\#($0)", "block": {"reason": "r"}}"# }
        try change(
          daemon, "POST", "/v1/overrides", #"{"tenants": [\#(tenants.joined(separator: ","))]}"#)
        made += 60
        #expect(try client.decide(Request.query("acme", "both", .peek, key: "k")).isAllowed)
      }
      var (after, seen, lost) = (start, 0, 0)
      while true {
        let page = try page(daemon, "?after=\(after)&limit=500")
        let count = (page["events"] as? [Any])?.count ?? 0
        (after, seen) = (page["next_after"] as? UInt64 ?? 0, seen + count)
        lost += page["lost"] as? Int ?? 0
        if count == 0 { break }
      }
      #expect(seen == 2048 && lost == made - 2048, "\(seen) seen, \(lost) lost of \(made)")
      for peer in silent { peer.close() }
    }

    @Test("A tenant's storm is bounded, says what was left out, and hides nobody else's")
    func storm() throws {
      let daemon = try daemon()
      try change(daemon, "PUT", "/v1/tenants/other/block", #"{"reason": "first"}"#)
      for number in 0..<60 {
        try change(daemon, "PUT", "/v1/tenants/acme/block", #"{"reason": "no \#(number)"}"#)
      }
      try change(daemon, "DELETE", "/v1/tenants/other/block", nil)
      let told = try events(daemon)
      let own = told.filter { $0["tenant_id"] as? String == "acme" }.count
      // Some more than at once, where the machine is slow.
      #expect(own >= 20 && own < 55, "\(own)")
      #expect(told.filter { $0["tenant_id"] as? String == "other" }.count == 2)
      try wait(for: "what was left out", seconds: 60) {
        try change(
          daemon, "PUT", "/v1/tenants/acme/block", #"{"reason": "\#(clockSeconds())"}"#)
        return try events(daemon, "?tenant=acme&limit=500").contains {
          ($0["suppressed"] as? Int ?? 0) > 0
        }
      }
    }

    @Test("A change of very many tenants is some events, and how many more there were")
    func largeImport() throws {
      let daemon = try daemon()
      let tenants = (0..<200).map { #"{"tenant": "t\#($0)", "block": {"reason": "r"}}"# }
      try change(
        daemon, "POST", "/v1/overrides", #"{"tenants": [\#(tenants.joined(separator: ","))]}"#)
      let told = try events(daemon)
      #expect(told.count == 65 && told.last?["detail"] as? String == "and 136 more")
    }

    @Test("Tenants under names that somebody makes up are told of in bounds")
    func inventedNames() throws {
      let daemon = try daemon()
      let client = try daemon.peer()
      for number in 0..<400 {
        _ = try client.decide(
          Request.query("guest-\(number)", "few", cost: 6, id: UInt32(number)))
      }
      for _ in 1...6 { _ = try client.decide(Request.query("acme", "few", key: "k")) }
      _ = try first(daemon, "denial_started", tenant: "acme")
      let guests = try events(daemon).filter {
        ($0["tenant_id"] as? String)?.hasPrefix("guest") ?? false
      }
      #expect(guests.count >= 30 && guests.count < 200, "\(guests.count)")
    }
  }
}
