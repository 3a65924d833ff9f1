// What administrators set at run time: in force when it is answered, kept over everything that ends the
// daemon, and without a bucket touched.

import DaemonSupport
import Foundation
import Glibc
import TestSupport
import Testing

extension DaemonTests {
  @Suite struct RunTimeTests {
    private static let policy = """
      limits:
        few: {algorithm: token-bucket, rate: 1/1d, burst: 5, scope: key}
        total: {algorithm: sliding-window, limit: 1000, window: 31d, scope: tenant}
      policies: {few: [few], total: [total], both: [few, total]}
      plans: {pro: {few: {burst: 50}, total: {limit: 5000}}}
      tenants:
        "*": {}
        acme: {}
        banned: {blocked: true}
      """

    private func daemon(_ adjust: (inout DaemonOptions) -> Void = { _ in }) throws -> TestDaemon {
      try .forAdministrators {
        $0.policy = Self.policy
        adjust(&$0)
      }
    }

    /// Makes a change that must be taken.
    @discardableResult private func change(
      _ daemon: TestDaemon, _ method: String, _ target: String, _ body: String? = nil
    ) throws -> AdminAnswer {
      let answer = try daemon.ask(method, "/v1/tenants/\(target)", body)
      #expect(answer.status == 200 && answer.json["is_in_force"] as? Bool == true, "\(answer.text)")
      return answer
    }

    private func capacity(_ daemon: TestDaemon, _ tenant: String, _ policy: String = "few") throws
      -> UInt64
    { try daemon.peer().decide(Request.query(tenant, policy, .peek)).capacity }

    private func edit(_ limit: String, _ parameter: String, _ value: String) -> String {
      #"{"settings": [{"limit": "\#(limit)", "parameter": "\#(parameter)", "value": "\#(value)"}]}"#
    }

    private func entries(_ daemon: TestDaemon, _ parameters: String = "") throws -> [[String: Any]]
    {
      try #require(
        daemon.ask("GET", "/v1/audit\(parameters)").json["entries"] as? [[String: Any]])
    }

    // MARK: In force

    @Test("A change is in force when it is answered, for connections that are open too")
    func isInForce() throws {
      let daemon = try daemon()
      let client = try daemon.peer()
      #expect(try client.decide(Request.query("acme", "both", cost: 3, key: "k")).remaining == 2)
      try change(daemon, "PATCH", "acme", #"{"plan": "pro"}"#)
      // What was used stays used.
      #expect(try client.decide(Request.query("acme", "few", .peek, key: "k")).remaining == 47)
      #expect(try client.decide(Request.query("acme", "total", .peek)).remaining == 4997)
      try change(daemon, "PATCH", "acme", edit("few", "burst", "9"))
      #expect(try client.decide(Request.query("acme", "few", .peek, key: "k")).remaining == 6)
      #expect(try capacity(daemon, "other") == 5)
      try change(daemon, "PUT", "acme/block", #"{"reason": "unpaid"}"#)
      #expect(try !client.decide(Request.query("acme", "few", key: "k")).isAllowed)
      try change(daemon, "DELETE", "acme/block")
      #expect(try client.decide(Request.query("acme", "few", key: "k")).remaining == 5)
      try change(daemon, "PATCH", "acme", #"{"plan": null}"#)
      #expect(try client.decide(Request.query("acme", "total", .peek)).remaining == 997)
      try change(daemon, "DELETE", "acme/overrides")
      #expect(try client.decide(Request.query("acme", "few", .peek, key: "k")).remaining == 1)
    }

    @Test("A tenant that the file does not name is set, blocked, and forgotten again")
    func unnamed() throws {
      let daemon = try daemon()
      let client = try daemon.peer()
      #expect(try client.decide(Request.query("new", "few", cost: 2, key: "k")).remaining == 3)
      try change(daemon, "PUT", "new/block", #"{"reason": "r"}"#)
      #expect(try !client.decide(Request.query("new", "few", key: "k")).isAllowed)
      #expect(try daemon.ask("GET", "/v1/tenants/new").json["is_named"] as? Bool == true)
      try change(daemon, "DELETE", "new/block")
      #expect(try daemon.ask("GET", "/v1/tenants/new").json["is_named"] as? Bool == false)
      #expect(try client.decide(Request.query("new", "few", .peek, key: "k")).remaining == 3)
      try change(daemon, "PATCH", "new", edit("few", "burst", "7"))
      #expect(try client.decide(Request.query("new", "few", .peek, key: "k")).remaining == 5)
    }

    @Test("A dry run says what would differ, and changes nothing")
    func dryRun() throws {
      let daemon = try daemon()
      for (method, target, body) in [
        ("PATCH", "acme", #"{"plan": "pro", "dry_run": true}"#),
        ("PUT", "acme/block", #"{"reason": "r", "dry_run": true}"#),
        ("DELETE", "acme/block?dry_run=true", nil), ("DELETE", "acme/overrides?dry_run=true", nil),
      ] {
        let answer = try daemon.ask(method, "/v1/tenants/\(target)", body)
        #expect(answer.status == 200 && answer.json["is_in_force"] as? Bool == false)
        #expect(answer.json["difference_count"] as? Int == (body == nil ? 0 : 1))
      }
      #expect(try capacity(daemon, "acme") == 5)
      #expect(try entries(daemon).isEmpty)
    }

    @Test("What is shown of a tenant says what was set at run time, and why it is blocked")
    func isShown() throws {
      let daemon = try daemon()
      try change(daemon, "PATCH", "acme", #"{"plan": "pro"}"#)
      try change(daemon, "PATCH", "acme", edit("few", "rate", "2/1d"))
      try change(daemon, "PUT", "acme/block", #"{"reason": "unpaid", "until": "2999-01-01"}"#)
      let shown = try daemon.ask("GET", "/v1/tenants/acme").json
      #expect(shown["standing"] as? String == "blocked" && shown["plan"] as? String == "pro")
      let overrides = try #require(shown["overrides"] as? [String: Any])
      let block = ["reason": "unpaid", "until": "2999-01-01T00:00:00Z"]
      #expect(overrides["block"] as? [String: String] == block)
      #expect(overrides["plan"] as? String == "pro")
      let limits = try #require(shown["limits"] as? [[String: Any]])
      let parameters = try #require(limits[0]["parameters"] as? [[String: Any]])
      let sources = Dictionary(
        uniqueKeysWithValues: parameters.map {
          ($0["name"] as? String ?? "", $0["source"] as? String ?? "")
        })
      #expect(sources["rate"] == "run time" && sources["burst"] == "plan pro", "\(sources)")
      let peek = try daemon.ask("POST", "/v1/peek", #"{"tenant": "acme", "policy": "few"}"#).json
      #expect(peek["outcome"] as? String == "deny")
      #expect(peek["block"] as? [String: String] == block)
      // One that the file blocks stays blocked, which is said.
      let unblocked = try change(daemon, "DELETE", "banned/block")
      #expect(unblocked.text.contains("the policy file blocks this tenant, in line 9"))
    }

    @Test("A block ends by itself, also while the daemon is down")
    func blockEnds() throws {
      let daemon = try daemon()
      try change(daemon, "PUT", "acme/block", #"{"reason": "r", "for_seconds": 1}"#)
      try wait(for: "the end of the block") {
        (try? daemon.peer().decide(Request.query("acme", "few", .peek)).isAllowed) ?? false
      }
      let ended = try entries(daemon, "?tenant=acme&limit=1")
      #expect(ended[0]["action"] as? String == "block ended" && ended[0]["uid"] == nil)
      try change(daemon, "PUT", "acme/block", #"{"reason": "r", "for_seconds": 2}"#)
      daemon.kill()
      usleep(2_100_000)
      try daemon.startForAdministrators()
      #expect(try daemon.peer().decide(Request.query("acme", "few", .peek)).isAllowed)
      #expect(try entries(daemon, "?tenant=acme").count == 4)
    }

    // MARK: Kept

    @Test("What is set outlasts a kill, a stop, and a reload beneath it; units stay units")
    func isKept() throws {
      let daemon = try daemon()
      try change(daemon, "PATCH", "acme", edit("few", "burst", "100"))
      try change(daemon, "PUT", "other/block", #"{"reason": "r"}"#)
      let use = Request.query("acme", "few", cost: 30, key: "k")
      #expect(try daemon.peer().decide(use).remaining == 70)
      func expectKept(_ left: UInt64, _ what: String) throws {
        let peer = try daemon.peer()
        let decision = try peer.decide(Request.query("acme", "few", .peek, key: "k"))
        #expect(decision.remaining == left && decision.capacity == 100, "\(what): \(daemon.brief)")
        #expect(try !peer.decide(Request.query("other", "few", .peek)).isAllowed, "\(what)")
      }
      daemon.kill()
      try daemon.startForAdministrators()
      try expectKept(70, "after a kill")
      #expect(try daemon.stop().code == 0)
      try daemon.startForAdministrators()
      try expectKept(70, "after a stop")
      #expect(!daemon.log.contains("rules have changed since"))
      // Another file beneath: it is the catalog that wins, and nothing of what was used is lost.
      try daemon.reload(policy: Self.policy.replacing("burst: 5,", with: "burst: 20,"))
      try expectKept(70, "after a reload")
      #expect(try capacity(daemon, "someone") == 20)
      daemon.kill()
      try daemon.write(policy: Self.policy.replacing("burst: 5,", with: "burst: 3,"))
      try daemon.startForAdministrators()
      try expectKept(70, "after another file")
      // A limit that is gone takes what was set of it along, and only that.
      try daemon.reload(policy: Self.policy.replacing("few", with: "less"))
      #expect(daemon.hasLogged("does not fit the policy file"))
      #expect(try capacity(daemon, "acme", "less") == 5)
      #expect(try !daemon.peer().decide(Request.query("other", "less", .peek)).isAllowed)
      try daemon.reload(policy: Self.policy)
      #expect(try capacity(daemon, "acme") == 100)
    }

    @Test(
      "A daemon that is killed amid changes has all that it answered, and reads every bucket rightly"
    )
    func killed() throws {
      var random = SeededGenerator(seed: testSeed)
      let daemon = try daemon { $0.settings = "  table: {key-slots: 64k}" }
      let use = Request.query("acme", "few", cost: 5, key: "k")
      #expect(try daemon.peer().decide(use).remaining == 0)
      // What was answered last, and what came after it and was not.
      var (answered, asked) = (5, 5)
      var blocked: Set<Int> = []
      for round in 0..<25 {
        let peer = try AdminPeer(daemon)
        let last = Int.random(in: 1...12, using: &random)
        for number in 1...12 {
          asked = 5 + Int.random(in: 1...90, using: &random)
          let tenant = "t\(round)-\(number)"
          try peer.send(Self.patch("acme", edit("few", "burst", "\(asked)")))
          if number == last {
            usleep(UInt32.random(in: 0...25_000, using: &random))
            daemon.kill()
            break
          }
          #expect(try peer.receive()?.status == 200, "\(daemon.brief), seed \(testSeed)")
          answered = asked
          if number.isMultiple(of: 3) {
            try change(daemon, "PUT", "\(tenant)/block", #"{"reason": "r"}"#)
            blocked.insert(round * 100 + number)
          }
        }
        try daemon.startForAdministrators()
        let decision = try daemon.peer().decide(Request.query("acme", "few", .peek, key: "k"))
        let (burst, left) = (Int(decision.capacity), Int(decision.remaining))
        #expect(
          burst == answered || burst == asked, "\(burst), answered \(answered), seed \(testSeed)")
        #expect(left == burst - 5, "round \(round), seed \(testSeed): \(daemon.brief)")
        answered = burst
      }
      let client = try daemon.peer()
      for number in blocked {
        let tenant = "t\(number / 100)-\(number % 100)"
        #expect(try !client.decide(Request.query(tenant, "few", .peek)).isAllowed, "\(tenant)")
      }
    }

    private static func patch(_ tenant: String, _ body: String) -> String {
      "PATCH /v1/tenants/\(tenant) HTTP/1.1\r\nhost: x\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
        + body
    }

    @Test("Two administrators at once: every change is made, one after the other, and recorded")
    func twoAtOnce() throws {
      let daemon = try daemon()
      let peers = [try AdminPeer(daemon), try AdminPeer(daemon)]
      for number in 1...20 {
        for (place, peer) in peers.enumerated() {
          let parameter = place == 0 ? "burst" : "soft"
          try peer.send(
            Self.patch("acme", edit("few", parameter, place == 0 ? "\(number + 5)" : "\(number)%")))
        }
        for peer in peers { #expect(try peer.receive()?.status == 200) }
      }
      let overrides = try daemon.ask("GET", "/v1/tenants/acme").json["overrides"] as? [String: Any]
      let settings = try #require(overrides?["settings"] as? [[String: String]])
      #expect(settings.map { $0["value"] } == ["25", "20%"])
      let entries = try entries(daemon, "?tenant=acme&limit=1000")
      #expect(entries.count == 40)
      // Each begins where the one before it ended.
      for (later, earlier) in zip(entries, entries.dropFirst()) {
        #expect(later["from"] as? String == earlier["to"] as? String)
      }
    }

    // MARK: Catalogs

    @Test("A catalog that is damaged or gone is told, and limitd runs on from the policy file")
    func damagedCatalog() throws {
      let daemon = try daemon()
      try change(daemon, "PATCH", "acme", edit("few", "burst", "100"))
      #expect(try daemon.peer().decide(Request.query("acme", "few", key: "k")).remaining == 99)
      let path = "\(daemon.statePath)/catalog.sqlite"
      func spoil(_ spoil: () throws -> Void, _ words: String) throws {
        _ = try daemon.stop()
        for suffix in ["-wal", "-shm"] { unlink(path + suffix) }
        try spoil()
        try daemon.startForAdministrators()
        #expect(daemon.hasLogged(words), "\(daemon.log)")
        let decision = try daemon.peer().decide(Request.query("acme", "few", .peek, key: "k"))
        #expect(decision.capacity == 5 && decision.remaining == 4)
        try change(daemon, "PATCH", "acme", edit("few", "burst", "100"))
      }
      try spoil(
        { try Data(repeating: 7, count: 9000).write(to: URL(filePath: path)) },
        "the catalog is not used")
      #expect(access("\(path).refused", F_OK) == 0)
      try spoil({ unlink(path) }, "the catalog is missing")
      // One that cannot be there at all: decisions are served, and changes refused.
      _ = try daemon.stop()
      unlink(path)
      mkdir(path, 0o700)
      try daemon.startForAdministrators()
      #expect(daemon.hasLogged("there is no catalog"))
      #expect(try capacity(daemon, "acme") == 5)
      let refused = try daemon.ask("PATCH", "/v1/tenants/acme", edit("few", "burst", "100"))
      #expect(refused.status == 503 && refused.text.contains("nothing can be set at run time"))
      #expect(try daemon.ask("GET", "/v1/audit").status == 503)
    }

    @Test("With a clock that clients set nothing is kept, and nothing can be set")
    func traceClock() throws {
      let daemon = try daemon { $0.flags = ["--trace-clock"] }
      #expect(try daemon.ask("PUT", "/v1/tenants/a/block", #"{"reason": "r"}"#).status == 503)
      #expect(access("\(daemon.statePath)/catalog.sqlite", F_OK) != 0)
    }

    // MARK: The record

    @Test("The record says who did what, page by page, reloads and snapshots among it")
    func audit() throws {
      let daemon = try daemon()
      try change(daemon, "PATCH", "acme", #"{"plan": "pro"}"#)
      try change(daemon, "PATCH", "acme", #"{"plan": "pro"}"#)
      try change(daemon, "PUT", "other/block", #"{"reason": "unpaid"}"#)
      #expect(try daemon.ask("PATCH", "/v1/tenants/acme", #"{"plan": "none"}"#).status == 422)
      #expect(try daemon.ask("POST", "/v1/snapshot").status == 200)
      #expect(try daemon.ask("POST", "/v1/reload").status == 200)
      try daemon.reload(policy: Self.policy + "\n  late: {}")
      try daemon.reload(policy: "limits: 3")
      let all = try entries(daemon)
      let actions = all.map { $0["action"] as? String }
      #expect(actions == ["reload", "reload", "snapshot", "tenant block", "tenant set"])
      #expect(all[0]["author"] as? String == "signal" && all[0]["uid"] == nil)
      #expect(all[0]["from"] as? String != all[0]["to"] as? String)
      for entry in all.dropFirst() {
        #expect(entry["uid"] as? Int == Int(geteuid()) && entry["pid"] as? Int == Int(getpid()))
        #expect(
          entry["author"] as? String
            == getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) })
      }
      #expect(all[3]["to"] as? String == "blocked: unpaid" && all[3]["from"] == nil)
      let page = try daemon.ask("GET", "/v1/audit?limit=2").json
      let next = try #require(page["next_before"] as? Int)
      #expect(try entries(daemon, "?before=\(next)").count == 3)
      #expect(try entries(daemon, "?tenant=other").count == 1)
      daemon.kill()
      try daemon.write(policy: Self.policy)
      try daemon.startForAdministrators()
      #expect(try entries(daemon).count == 5)
    }
  }
}
