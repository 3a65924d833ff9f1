// The admin interface from outside: who may do what, what is answered, and what it makes of those who
// keep no rule.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct AdminTests {
    /// Every endpoint, and whether it only reads.
    static let endpoints: [(method: String, target: String, body: String?, reads: Bool)] = [
      ("GET", "/v1/status", nil, true), ("GET", "/v1/limits", nil, true),
      ("GET", "/v1/limits/few", nil, true), ("GET", "/v1/tenants", nil, true),
      ("GET", "/v1/tenants/acme", nil, true), ("GET", "/v1/tenants/acme/denials", nil, true),
      ("POST", "/v1/peek", #"{"tenant": "acme", "policy": "few"}"#, true),
      ("GET", "/v1/top", nil, true), ("GET", "/v1/events", nil, true),
      ("GET", "/metrics", nil, true), ("POST", "/v1/reload", "{}", false),
      ("POST", "/v1/snapshot", nil, false), ("GET", "/v1/audit", nil, true),
      ("PATCH", "/v1/tenants/acme", #"{"plan": null}"#, false),
      ("DELETE", "/v1/tenants/acme/overrides", nil, false),
      ("PUT", "/v1/tenants/acme/block", #"{"reason": "x"}"#, false),
      ("DELETE", "/v1/tenants/acme/block", nil, false),
      ("POST", "/v1/tenants/acme/reset", nil, false),
      ("PUT", "/v1/limits/few/mode", #"{"mode": "shadow"}"#, false),
      ("DELETE", "/v1/limits/few/mode", nil, false), ("GET", "/v1/overrides", nil, true),
      ("POST", "/v1/overrides", #"{"tenants": []}"#, false), ("GET", "/v1/rules", nil, true),
    ]

    /// A daemon on whose admin socket everybody may knock.
    private func daemon(_ access: String) throws -> TestDaemon {
      try TestDaemon {
        $0.settings = "  admin-socket: {mode: 666}\n  access:\n\(access)"
      }
    }

    // MARK: Roles

    @Test("Root may read and change, whatever the rules say")
    func root() throws {
      let daemon = try TestDaemon()
      for (method, target, body, _) in Self.endpoints {
        let answer = try daemon.ask(method, target, body)
        #expect(answer.status == 200, "\(method) \(target): \(answer.text)")
      }
      // Who changes something is told, and who only reads is not.
      var lines: [Substring] = []
      try wait(for: "ten lines of the log") {
        lines = daemon.log.split(separator: "\n").filter { $0.contains("admin request") }
        return lines.count >= 10
      }
      #expect(lines.count == 10 && lines.allSatisfy { $0.contains("uid=\(geteuid())") }, "\(lines)")
      #expect(lines.first?.contains("POST /v1/reload") == true)
    }

    @Test("Whoever has no role gets 403 everywhere", .enabled(if: Host.isRoot, "needs root"))
    func stranger() throws {
      for access in ["    - {user: 65534, roles: [query, settle]}", "    []"] {
        let daemon = try daemon(access)
        for (method, target, body, _) in Self.endpoints + [("GET", "/v1/nothing", nil, true)] {
          let answer = try daemon.ask(method, target, body, user: Host.otherUser)
          #expect(answer.status == 403, "\(method) \(target): \(answer.text)")
          #expect(answer.headers["content-type"] == "application/problem+json")
          #expect(!answer.text.contains("acme"))
        }
        #expect(daemon.reloadCount == 0)
        #expect(daemon.hasLogged("admin request refused"))
      }
    }

    @Test("Without rules nobody but root is let in", .enabled(if: Host.isRoot, "needs root"))
    func noRules() throws {
      let daemon = try TestDaemon { $0.settings = "  admin-socket: {mode: 666}" }
      #expect(try daemon.ask("GET", "/v1/status", user: Host.otherUser).status == 403)
    }

    @Test(
      "observe reads and may not change; administer does both",
      .enabled(if: Host.isRoot, "needs root"))
    func observeAndAdminister() throws {
      for role in ["observe", "administer"] {
        let daemon = try daemon("    - {user: 65534, roles: [\(role)]}")
        for (method, target, body, reads) in Self.endpoints {
          let answer = try daemon.ask(method, target, body, user: Host.otherUser)
          let isLetIn = reads || role == "administer"
          #expect(answer.status == (isLetIn ? 200 : 403), "\(role): \(method) \(target)")
        }
        #expect(daemon.reloadCount == (role == "administer" ? 1 : 0))
      }
    }

    @Test(
      "A role for one tenant shows that tenant and no other, and changes nothing",
      .enabled(if: Host.isRoot, "needs root"))
    func oneTenant() throws {
      let daemon = try daemon(
        "    - {user: 65534, roles: [observe, administer], tenants: [acme]}")
      func status(_ method: String, _ target: String, _ body: String? = nil) throws -> Int {
        try daemon.ask(method, target, body, user: Host.otherUser).status
      }
      #expect(try status("GET", "/v1/tenants/acme") == 200)
      #expect(try status("POST", "/v1/peek", #"{"tenant": "acme", "policy": "few"}"#) == 200)
      #expect(try status("GET", "/v1/tenants/free") == 403)
      #expect(try status("GET", "/v1/tenants/acme/denials") == 200)
      #expect(try status("GET", "/v1/tenants/free/denials") == 403)
      #expect(try status("POST", "/v1/peek", #"{"tenant": "free", "policy": "few"}"#) == 403)
      for target in ["/v1/status", "/v1/limits", "/v1/tenants", "/v1/top", "/metrics"] {
        #expect(try status("GET", target) == 403)
      }
      #expect(try status("POST", "/v1/reload") == 403)
      #expect(try status("POST", "/v1/snapshot") == 403)
    }

    @Test(
      "A role that a reload takes away is gone with the next request",
      .enabled(if: Host.isRoot, "needs root"))
    func roleGoes() throws {
      let daemon = try daemon("    - {user: 65534, roles: [observe]}")
      let peer = try AdminPeer(daemon, user: Host.otherUser)
      let request = "GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n"
      try peer.send(request)
      #expect(try peer.receive()?.status == 200)
      try daemon.write(
        policy: DaemonOptions.defaultPolicy,
        settings: "  admin-socket: {mode: 666}\n  access: []")
      #expect(try daemon.ask("POST", "/v1/reload").status == 200)
      try peer.send(request)
      #expect(try peer.receive()?.status == 403)
    }

    // MARK: What is answered

    @Test("peek says what a check would come to, limit by limit, and takes nothing")
    func peek() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      for _ in 1...4 { _ = try client.decide(Request.query("acme", "all", key: "k")) }
      let body = #"{"tenant": "acme", "policy": "all", "key": "k", "cost": 2}"#
      for _ in 1...2 {
        let answer = try daemon.ask("POST", "/v1/peek", body).json
        #expect(answer["outcome"] as? String == "deny")
        #expect(answer["decided_by"] as? String == "few")
        let limits = try #require(answer["limits"] as? [[String: Any]])
        #expect(limits.compactMap { $0["limit"] as? String } == ["many", "few", "held"])
        let few = limits[1]
        #expect(few["outcome"] as? String == "deny" && limits[0]["outcome"] as? String == "allow")
        #expect((few["bucket"] as? [String: Any])?["remaining"] as? Int == 1)
        #expect(few["retry_after_seconds"] as? Double ?? 0 > 80_000)
      }
    }

    @Test("Tenants are listed in pages and found by a part of their name")
    func pages() throws {
      let names = (0..<250).map { "school-\($0)" }
      let daemon = try TestDaemon {
        $0.policy += "\n" + names.map { "  \($0): {}\n" }.joined()
      }
      var found: [String] = []
      for offset in [0, 100, 200] {
        let page = try daemon.ask("GET", "/v1/tenants?search=SCHOOL&offset=\(offset)&limit=100")
          .json
        #expect(page["total"] as? Int == 250)
        found += (page["tenants"] as? [[String: Any]] ?? []).compactMap { $0["tenant"] as? String }
      }
      #expect(found == names)
      let one = try daemon.ask("GET", "/v1/tenants/school-7").json
      #expect(one["is_named"] as? Bool == true)
      let other = try daemon.ask("GET", "/v1/tenants/%C3%A9t%C3%A9").json
      #expect(other["is_named"] as? Bool == false && other["tenant"] as? String == "été")
    }

    @Test("A dry run tells what differs and changes nothing; a reload is in force when it returns")
    func reload() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      let policy = DaemonOptions.defaultPolicy.replacing("burst: 5", with: "burst: 50")
        .replacing("  banned: {blocked: true}", with: "  late: {blocked: true}")
      try daemon.write(policy: policy)
      for (body, capacity) in [(#"{"dry_run": true}"#, 5), ("{}", 50)] {
        let answer = try daemon.ask("POST", "/v1/reload", body).json
        #expect(answer["is_in_force"] as? Bool == (capacity == 50))
        let differences = try #require(answer["differences"] as? [[String: Any]])
        #expect(
          differences.map { "\($0["kind"] ?? "") \($0["name"] ?? "")" }
            == ["limit few", "tenant banned", "tenant late"])
        #expect(differences[1]["after"] == nil && differences[2]["before"] == nil)
        let decision = try client.decide(Request.query("acme", "few", .peek))
        #expect(decision.capacity == UInt64(capacity))
      }
      let none = try daemon.ask("POST", "/v1/reload").json
      #expect(none["difference_count"] as? Int == 0)
      try daemon.write(policy: policy + "\n  wrong: {plan: none}")
      for body in [#"{"dry_run": true}"#, "{}"] {
        let answer = try daemon.ask("POST", "/v1/reload", body)
        #expect(answer.status == 422 && answer.text.contains("none"), "\(answer.text)")
      }
      #expect(try client.decide(Request.query("acme", "few", .peek)).capacity == 50)
    }

    @Test("Two admins at once: each reload is answered, and the last file is in force")
    func twoAdmins() throws {
      let daemon = try TestDaemon()
      let policies = (0..<2).map {
        DaemonOptions.defaultPolicy.replacing("burst: 5", with: "burst: \(60 + $0)")
      }
      let good = Tally()
      for round in 0..<10 {
        try daemon.write(policy: policies[round % 2])
        let peers = try (0..<2).map { _ in try AdminPeer(daemon) }
        for peer in peers { try peer.send("POST /v1/reload HTTP/1.1\r\nhost: x\r\n\r\n") }
        for peer in peers where try peer.receive()?.status == 200 { good.add(1) }
        let decision = try daemon.peer().decide(Request.query("acme", "few", .peek))
        #expect(decision.capacity == UInt64(60 + round % 2))
      }
      #expect(good.counts[0] == 20)
    }

    @Test("A snapshot is on the disk when the answer comes")
    func snapshot() throws {
      let daemon = try TestDaemon { $0.settings = "  snapshot-interval: 1h" }
      _ = try daemon.peer().decide(Request.query("acme", "few", key: "k"))
      let answer = try daemon.ask("POST", "/v1/snapshot")
      #expect(answer.status == 200 && answer.json["buckets"] as? Int == 1, "\(answer.text)")
      #expect(access("\(daemon.statePath)/snapshot.1", R_OK) == 0)
      let status = try daemon.ask("GET", "/v1/status").json
      #expect((status["snapshots"] as? [String: Any])?["buckets"] as? Int == 1)
    }

    @Test("Paths are told as whoever is in another folder finds them")
    func paths() throws {
      let daemon = try TestDaemon {
        $0.wrapper = ["/bin/sh", "-c", #"cd "$(dirname "$3")" && exec "$@""#, "sh"]
        $0.flags = ["--config", "./limitd.yaml", "--state-dir", "state"]
      }
      let status = try daemon.ask("GET", "/v1/status").json
      #expect(status["config_path"] as? String == daemon.configPath)
      #expect(status["state_directory"] as? String == daemon.statePath)
    }

    // MARK: Without it

    @Test("A daemon that cannot have its admin socket says so, and decides")
    func noSocket() throws {
      let daemon = try TestDaemon(starts: false)
      mkdir(daemon.adminPath, 0o755)
      try daemon.start()
      #expect(try daemon.peer().decide(Request.query("acme", "many")).isAllowed)
      #expect(daemon.hasLogged("no admin socket"))
    }

    @Test("The admin socket is its owner's only, and goes with the daemon")
    func file() throws {
      let daemon = try TestDaemon()
      var status = stat()
      #expect(stat(daemon.adminPath, &status) == 0 && status.st_mode & 0o777 == 0o600)
      #expect(try daemon.stop().code == 0)
      #expect(access(daemon.adminPath, F_OK) != 0)
    }
  }
}
