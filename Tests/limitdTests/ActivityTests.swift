// Who is denied, by what, and how often: what the daemon says of it, over real sockets.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct ActivityTests {
    private func denials(_ daemon: TestDaemon, _ tenant: String) throws -> [[String: Any]] {
      let answer = try daemon.ask("GET", "/v1/tenants/\(tenant)/denials")
      return try #require(answer.json["denials"] as? [[String: Any]], "\(answer.text)")
    }

    @Test("A denial is told with its limit, policy, key, cost, wait and time, newest first")
    func denial() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      for _ in 1...6 { _ = try client.decide(Request.query("acme", "few", key: "bob")) }
      try client.bind(0, "acme", "all")
      _ = try client.decide(Request.query(cost: 6, key: "eve"))
      let found = try denials(daemon, "acme")
      #expect(found.count == 2)
      let (never, deny) = (found[0], found[1])
      #expect(deny["limit"] as? String == "few" && deny["policy"] as? String == "few")
      #expect(deny["key"] as? String == "bob" && deny["cost"] as? Int == 1)
      #expect(deny["outcome"] as? String == "deny" && deny["reason"] as? String == "limit")
      #expect((deny["retry_after_seconds"] as? Double ?? 0) > 80_000)
      #expect(never["limit"] as? String == "few" && never["policy"] as? String == "all")
      #expect(never["key"] as? String == "eve" && never["cost"] as? Int == 6)
      #expect(never["outcome"] as? String == "never" && never["retry_after_seconds"] == nil)
      let format = ISO8601DateFormatter()
      format.formatOptions.insert(.withFractionalSeconds)
      let time = try #require(format.date(from: deny["time"] as? String ?? ""))
      #expect(abs(time.timeIntervalSinceNow) < 60)
      #expect(try denials(daemon, "free").isEmpty)
    }

    @Test("Blocked and unknown tenants, acquires and batches are told of; peeks are not")
    func kinds() throws {
      let daemon = try TestDaemon {
        $0.policy = $0.policy.replacing("  \"*\": {}\n", with: "")
      }
      let client = try daemon.peer()
      _ = try client.decide(Request.query("banned", "many", key: "k"))
      _ = try client.decide(Request.query("stranger", "many"))
      _ = try client.decide(Request.query("acme", "few", .peek, cost: 6))
      _ = try client.decide(Request.query("acme", "held", .acquire, cost: 3, key: "job"))
      try client.bind(0, "free", "few")
      try client.bind(1, "acme", "few")
      try client.send(Request.batch([Request.Item(1, cost: 7, key: "item")]))
      _ = try client.receive()
      let banned = try denials(daemon, "banned")
      #expect(banned.count == 1 && banned[0]["reason"] as? String == "blocked")
      #expect(banned[0]["limit"] == nil && banned[0]["policy"] as? String == "many")
      let stranger = try denials(daemon, "stranger")
      #expect(stranger.count == 1 && stranger[0]["reason"] as? String == "unknown_tenant")
      let acme = try denials(daemon, "acme")
      #expect(acme.map { $0["key"] as? String } == ["item", "job"])
      #expect(acme.map { $0["limit"] as? String } == ["few", "held"])
    }

    @Test("The last 16 of a tenant are kept, whatever others are denied")
    func bounded() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      // In rounds that the daemon has looked at: of many denials at once it keeps examples.
      for round in 0..<5 {
        for number in 0..<5 {
          _ = try client.decide(
            Request.query("acme", "few", cost: 6, key: "key-\(round)-\(number)"))
        }
        _ = try denials(daemon, "acme")
      }
      for number in 0..<2000 {
        _ = try client.decide(
          Request.query("guest-\(number)", "few", cost: 6, id: UInt32(number)))
      }
      let found = try denials(daemon, "acme").compactMap { $0["key"] as? String }
      let all = (0..<5).flatMap { round in (0..<5).map { "key-\(round)-\($0)" } }
      #expect(found == all.suffix(16).reversed())
    }

    @Test("Tenants, keys and limits are told by how much they are denied, or asked for")
    func top() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      for number in 0..<8 {
        _ = try client.decide(Request.query("acme", "few", key: number < 7 ? "bob" : "eve"))
      }
      for _ in 0..<12 { _ = try client.decide(Request.query("guest", "many", key: "k")) }
      _ = try client.decide(Request.query("guest", "many", .peek, key: "k"))
      _ = try client.decide(Request.query("banned", "many", key: "k"))
      func names(_ sort: String, _ list: String, _ member: String) throws -> [String] {
        let top = try daemon.ask("GET", "/v1/top?sort=\(sort)").json
        #expect(top["allowed"] as? Int == 18 && top["denied"] as? Int == 3)
        #expect(top["decisions"] as? Int == 22)
        return (top[list] as? [[String: Any]] ?? []).compactMap { entry in
          (entry[member] as? String).map {
            "\($0) \(entry["allowed"] ?? "") \(entry["denied"] ?? "")"
          }
        }
      }
      #expect(
        try names("denied", "tenants", "tenant") == ["acme 6 2", "banned 0 1", "guest 12 0"])
      #expect(
        try names("queries", "tenants", "tenant") == ["guest 12 0", "acme 6 2", "banned 0 1"])
      #expect(try names("denied", "keys", "key") == ["bob 5 2", "k 0 1", "k 12 0", "eve 1 0"])
      #expect(try names("denied", "limits", "limit") == ["few 6 2", "many 12 0"])
      let answer = try daemon.ask("GET", "/v1/top?sort=name")
      #expect(answer.status == 400 && answer.headers["content-type"] == "application/problem+json")
    }

    @Test("Who is asked for most is found among many names, in bounded memory")
    func manyNames() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      // Samples are scarcer the longer a round of the monitor's lasts: these go through some ten.
      for number in 0..<40_000 {
        let name = number % 4 == 0 ? "busy" : "guest-\(number % 6000)"
        _ = try client.decide(Request.query(name, "many", id: UInt32(number)))
      }
      let top = try daemon.ask("GET", "/v1/top?sort=queries&limit=3").json
      let tenants = try #require(top["tenants"] as? [[String: Any]])
      #expect(tenants.count == 3 && tenants[0]["tenant"] as? String == "busy")
      #expect((tenants[0]["allowed"] as? Int).map { 5_000...20_000 ~= $0 } == true, "\(tenants)")
    }

    @Test("Names that are as long as they may be, and keys that are no text, are told")
    func names() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      let tenant = String(repeating: "t", count: 255)
      _ = try client.decide(
        Request.query(tenant, "few", cost: 6, key: String(repeating: "k", count: 200)))
      let long = try denials(daemon, tenant)
      #expect(long.count == 1)
      let key = try #require(long[0]["key"] as? String)
      #expect(key.allSatisfy { $0 == "k" } && 40..<200 ~= key.count)
    }
  }
}
