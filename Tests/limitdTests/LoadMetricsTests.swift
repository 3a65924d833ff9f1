// What /metrics says besides decisions: how long they took, what was refused, what waits, what tenants have
// left; and who can read it by TCP.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct LoadMetricsTests {
    @Test("Durations of queries are a histogram: buckets grow, and the last one has all")
    func durations() throws {
      let daemon = try TestDaemon { $0.settings = "  workers: 1" }
      let client = try daemon.peer()
      let name = "limitd_decision_duration_seconds"
      #expect(try daemon.metric("\(name)_count") == 0)
      let count: UInt64 = 200
      for _ in 0..<count { _ = try client.decide(Request.query("acme", "many")) }
      let text = try daemon.ask("GET", "/metrics").text
      let buckets = text.matches(of: /_duration_seconds_bucket{le="([^"]+)"} ([0-9]+)/)
      let counts = buckets.compactMap { UInt64($0.output.2) }
      #expect(counts.count == 16 && counts == counts.sorted() && buckets.last?.output.1 == "+Inf")
      let bounds = buckets.compactMap { Double($0.output.1) }
      #expect(bounds.first == 2e-7 && bounds.dropLast().last == 0.01 && bounds == bounds.sorted())
      let all = try daemon.metric("\(name)_count")
      // One turn in eight, and each of these queries has one.
      #expect(counts.last == all && (1...count / 2).contains(all), "\(all) of \(count)")
      let sum = text.firstMatch(of: /_duration_seconds_sum ([0-9.e-]+)/).flatMap {
        Double($0.output.1)
      }
      #expect((sum ?? 0) > Double(all) * 2e-7)
    }

    @Test("Requests that are refused are counted by why")
    func refused() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      #expect(try client.ask(Request.query(key: "k")).isError)
      #expect(try client.ask(Request.query("acme", "no-such-policy")).isError)
      #expect(try client.ask(Request.frame(0x3E, id: 1)).isError)
      _ = try client.ask(Request.batch([.init(7), .init(8)]))
      func count(_ reason: String) throws -> UInt64 {
        try daemon.metric("limitd_requests_refused_total{reason=\"\(reason)\"}")
      }
      #expect(try count("unknown_handle") == 3)
      #expect(try count("unknown_policy") == 1)
      #expect(try count("unknown_operation") == 1)
      #expect(try count("too_large") == 0)
    }

    @Test("Replies that their peer does not read wait, and are counted until it goes")
    func queue() throws {
      let daemon = try TestDaemon()
      let name = #"limitd_queue_bytes{queue="replies"}"#
      let client = try daemon.peer()
      try client.bind(0, "acme", "many")
      let requests = (0..<256 as Range<UInt32>).flatMap { Request.query(id: $0) }
      var rest = requests[...]
      try wait(for: "replies that nobody reads", seconds: 60) {
        if rest.isEmpty { rest = requests[...] }
        rest = rest.dropFirst(try client.sendSome(Array(rest)))
        return try daemon.metric(name) > 0
      }
      client.close()
      try wait(for: "nothing that waits", seconds: 60) { try daemon.metric(name) == 0 }
      #expect(try daemon.metric(#"limitd_queue_bytes{queue="requests"}"#) == 0)
    }

    @Test("A tenant's cap on keys, and guests' share, are told apart where they are reached")
    func caps() throws {
      let daemon = try TestDaemon {
        $0.settings = "  table: {key-slots: 1024, keys-per-tenant: 4, guest-share: 0%}"
      }
      func hits(_ cap: String) throws -> UInt64 {
        try daemon.metric("limitd_cap_hits_total{scope=\"key\",cap=\"\(cap)\"}")
      }
      let client = try daemon.peer()
      for key in 0..<6 {
        _ = try client.decide(Request.query("acme", "few", .peek, key: "\(key)"))
        _ = try client.decide(Request.query("acme", "few", key: "\(key)"))
      }
      #expect(try hits("tenant_keys") == 2)
      #expect(try hits("tenants") + hits("guest_share") == 0)
      _ = try client.decide(Request.query("guest", "few", key: "k"))
      #expect(try hits("tenants") + hits("guest_share") == 1)
      #expect(try daemon.metric("limitd_overflow_total") == 3)
    }

    @Test("A full table, and the share of named tenants, are told apart where they are reached")
    func fullTables() throws {
      func hits(_ daemon: TestDaemon) throws -> [String: UInt64] {
        let text = try daemon.ask("GET", "/metrics").text
        let found = text.matches(of: /limitd_cap_hits_total{scope="key",cap="([a-z_]+)"} ([0-9]+)/)
        #expect(found.count == 5)
        return Dictionary(
          uniqueKeysWithValues: found.map { (String($0.output.1), UInt64($0.output.2) ?? 0) }
        ).filter { $0.value > 0 }
      }
      func fill(_ daemon: TestDaemon, _ tenant: String, _ keys: Int) throws {
        let client = try daemon.peer()
        for key in 0..<keys { _ = try client.decide(Request.query(tenant, "few", key: "\(key)")) }
        #expect(
          try hits(daemon).values.reduce(0, +) == daemon.metric("limitd_overflow_total"))
      }
      // Whoever comes has all of the table, as nobody has a name.
      let full = try TestDaemon {
        $0.policy = $0.policy.replacing(/(?m)^  (acme|banned|free): .*\n?/, with: "")
        $0.settings = "  table: {key-slots: 1024, keys-per-tenant: 1024}"
      }
      try fill(full, "someone", 1500)
      // The table is full before the tenant has as many keys as it may, and then at its cap.
      let causes = try hits(full)
      #expect(causes["table"] ?? 0 > 0, "\(causes)")
      // Nothing for guests: 85 % of 1,024 are 870, of which three named tenants have half for sure.
      let named = try TestDaemon {
        $0.settings = "  table: {key-slots: 1024, keys-per-tenant: 1024, guest-share: 0%}"
      }
      try fill(named, "acme", 700)
      let namedCauses = try hits(named)
      #expect(Array(namedCauses.keys) == ["named_share"], "\(namedCauses)")
    }

    @Test("What tenants have left of what their keys share, once whatever the policies")
    func remaining() throws {
      let daemon = try TestDaemon()
      let client = try daemon.peer()
      _ = try client.decide(Request.query("acme", "budget", cost: 300))
      _ = try client.decide(Request.query("acme", "all"))
      _ = try client.decide(Request.query("acme", "many"))
      _ = try client.decide(Request.query("guest", "budget", cost: 300))
      let budget = #"{tenant="acme",limit="budget"}"#
      #expect(try daemon.metric("limitd_tenant_remaining" + budget) == 700)
      #expect(try daemon.metric("limitd_tenant_capacity" + budget) == 1000)
      let text = try daemon.ask("GET", "/metrics").text
      let series = text.split(separator: "\n").filter { $0.hasPrefix("limitd_tenant_remaining{") }
      #expect(series.count == 3 && series.allSatisfy { $0.contains(#"tenant="acme""#) })
      // Looking takes nothing; a reload that takes the tenant's name leaves it what all others have, and one
      // that leaves it nothing takes the series.
      let nameless = DaemonOptions.defaultPolicy.replacing("  acme: {}\n", with: "")
      try daemon.reload(policy: nameless)
      #expect(try daemon.metric("limitd_tenant_remaining" + budget) == 700)
      try daemon.reload(policy: nameless.replacing("  \"*\": {}\n", with: ""))
      #expect(try !daemon.ask("GET", "/metrics").text.contains("limitd_tenant_remaining{"))
    }

    @Test("A tenant that is set at run time has series of its own, as if the file named it")
    func setAtRunTime() throws {
      let daemon = try TestDaemon()
      let body = #"{"settings": [{"limit": "budget", "parameter": "limit", "value": "50"}]}"#
      let answer = try daemon.ask("PATCH", "/v1/tenants/late", body)
      #expect(answer.status == 200, "\(answer.text)")
      _ = try daemon.peer().decide(Request.query("late", "budget", cost: 20))
      #expect(
        try daemon.metric(
          #"limitd_decisions_total{tenant="late",policy="budget",limit="budget",result="allow"}"#)
          == 1)
      #expect(try daemon.metric(#"limitd_tenant_remaining{tenant="late",limit="budget"}"#) == 30)
    }

    @Test(
      "The policy file opens metrics to this host by TCP, and nothing else of the admin interface",
      arguments: ["127.0.0.1", "::1"])
    func listener(host: String) throws {
      guard host != "::1" || hasLoopbackOfVersion6 else { return }
      let port = try MonitoringTests().freePort()
      let address = host == "::1" ? "[::1]:\(port)" : "\(host):\(port)"
      let daemon = try TestDaemon { $0.settings = "  metrics: {listen: '\(address)'}" }
      func get(_ path: String) throws -> String {
        try run(
          "/bin/bash",
          [
            "-c",
            "exec 3<>/dev/tcp/\(host)/\(port); printf 'GET \(path) HTTP/1.1\\r\\nhost: x\\r\\n"
              + "connection: close\\r\\n\\r\\n' >&3; cat <&3",
          ]
        ).output
      }
      let metrics = try get("/metrics")
      #expect(metrics.hasPrefix("HTTP/1.1 200") && metrics.contains("limitd_build_info{version="))
      #expect(try get("/v1/status").hasPrefix("HTTP/1.1 404"))
      // Another daemon finds the port taken, says so, and decides.
      let other = try TestDaemon { $0.settings = "  metrics: {listen: '\(address)'}" }
      #expect(try other.peer().decide(Request.query("acme", "many")).isAllowed)
      #expect(try other.metric("limitd_queries_total") == 1)
      try wait(for: "a word about it") { other.log.contains("no metrics by TCP") }
      #expect(try daemon.metric("limitd_queries_total") == 0)
    }
  }
}

/// Whether this host has ::1; a container may have none.
private let hasLoopbackOfVersion6 =
  (try? String(contentsOfFile: "/proc/net/if_inet6", encoding: .utf8))?
  .contains(String(repeating: "0", count: 31) + "1") ?? false
