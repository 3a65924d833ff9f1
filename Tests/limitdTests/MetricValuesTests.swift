// What /metrics says of the daemon itself is so: each series against what was done, chosen so that no two of
// them have one value, and a pair that is swapped shows.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct MetricValuesTests {
    private static let policy = """
      limits:
        few: {algorithm: token-bucket, rate: 1/1d, burst: 8, scope: key, soft: 50%}
        own: {algorithm: token-bucket, rate: 1/1d, burst: 6, scope: tenant, mode: shadow}
        all: {algorithm: sliding-window, limit: 10G, window: 31d, scope: global}
      policies: {every: [few, own, all], one: [few]}
      plans: {a: {}, b: {}, c: {}, d: {}}
      tenants:
        "*": {}
        acme: {}
        t1: {}
        t2: {}
        t3: {}
        t4: {}
      """

    /// Every series, by its name with its labels.
    private func series(_ daemon: TestDaemon) throws -> [String: Double] {
      let lines = try daemon.ask("GET", "/metrics").text.split(separator: "\n")
      return Dictionary(
        uniqueKeysWithValues: lines.filter { !$0.hasPrefix("#") }.map { line in
          let space = line.lastIndex(of: " ") ?? line.endIndex
          return (String(line[..<space]), Double(line[space...].dropFirst()) ?? .nan)
        })
    }

    private func expect(_ expected: [String: Double], _ found: [String: Double]) {
      for (name, value) in expected { #expect(found[name] == value, "\(name)") }
    }

    @Test("Tables, soft thresholds, shadow denials, entries and loops are told as they are")
    func decisions() throws {
      let daemon = try TestDaemon {
        $0.policy = Self.policy
        $0.settings = "  workers: 7\n  table: {key-slots: 8192, tenant-slots: 2048, tenants: 500}"
      }
      let client = try daemon.peer()
      var flags: [UInt8] = []
      // Past half of eight, five; past six in the shadow, two.
      for _ in 0..<8 {
        flags.append(try client.decide(Request.query("acme", "every", key: "k")).flags)
      }
      for key in ["x", "y", "z"] { _ = try client.decide(Request.query("t1", "one", key: key)) }
      #expect(Set(flags).count == 3, "none, one and both of the flags")
      let found = try series(daemon)
      let labels = #"tenant="acme",policy="every""#
      expect(
        [
          "limitd_soft_threshold_total{\(labels)}": 5, "limitd_shadow_denied_total{\(labels)}": 2,
          #"limitd_table_slots{scope="key"}"#: 8192,
          #"limitd_table_slots{scope="tenant"}"#: 2048,
          #"limitd_table_buckets{scope="key"}"#: 4,
          #"limitd_table_buckets{scope="tenant"}"#: 1,
          #"limitd_table_buckets{scope="global"}"#: 1, "limitd_workers": 7,
          #"limitd_policy_entries{kind="limit"}"#: 3, #"limitd_policy_entries{kind="policy"}"#: 2,
          #"limitd_policy_entries{kind="plan"}"#: 4, #"limitd_policy_entries{kind="tenant"}"#: 5,
          "limitd_queries_total": 11, "limitd_overflow_total": 0,
        ], found)
      #expect(try #require(found[#"limitd_table_slots{scope="global"}"#]) > 2)
    }

    @Test("Connections are told: there, possible, refused, and what they hold")
    func connections() throws {
      let daemon = try TestDaemon { $0.settings = "  limits: {connections: 5}" }
      var clients: [Peer] = []
      try wait(for: "the start's connection to go") {
        try series(daemon)["limitd_connections"] == 0
      }
      for _ in 0..<5 { clients.append(try daemon.peer()) }
      for _ in 0..<2 { #expect((try? daemon.peer()) == nil) }
      clients.removeLast(2)
      try wait(for: "two to go") { try series(daemon)["limitd_connections"] == 3 }
      let found = try series(daemon)
      expect(["limitd_connections_max": 5, "limitd_connections_refused_total": 2], found)
      let held = try #require(found["limitd_connection_memory_bytes"])
      #expect((1_000...10_000_000).contains(held), "\(held)")
      clients = []
    }

    @Test("Snapshots are told: age, size, time, failures, and whether the last one failed")
    func snapshots() throws {
      let daemon = try TestDaemon { $0.settings = "  snapshot-interval: 1h" }
      func told() throws -> [String: Any] {
        try #require(try daemon.ask("GET", "/v1/status").json["snapshots"] as? [String: Any])
      }
      _ = try daemon.peer().decide(Request.query("acme", "many"))
      expect(
        ["limitd_snapshot_failures_total": 0, "limitd_snapshot_trouble": 0], try series(daemon))
      let start = clockSeconds()
      #expect(try daemon.ask("POST", "/v1/snapshot").status == 200)
      usleep(300_000)
      rename(daemon.statePath, daemon.statePath + "-away")
      defer { rename(daemon.statePath + "-away", daemon.statePath) }
      for _ in 0..<2 { #expect(try daemon.ask("POST", "/v1/snapshot").status == 500) }
      let found = try series(daemon)
      expect(
        [
          "limitd_snapshot_failures_total": 2, "limitd_snapshot_trouble": 1,
          "limitd_snapshot_size_bytes": try #require(try told()["bytes"] as? Double),
          "limitd_snapshot_duration_seconds": try #require(try told()["took_seconds"] as? Double),
        ], found)
      let bytes = try FileManager.default.contentsOfDirectory(atPath: daemon.statePath + "-away")
        .filter { $0.hasPrefix("snapshot") }
        .map { name in
          try FileManager.default.attributesOfItem(atPath: "\(daemon.statePath)-away/\(name)")[
            .size]
            as? Double
        }
      #expect(bytes.contains(found["limitd_snapshot_size_bytes"]), "\(bytes)")
      let age = try #require(found["limitd_snapshot_age_seconds"])
      #expect((0.3...clockSeconds() - start).contains(age), "\(age)")
    }

    @Test("Reloads are told: how many, whether the last one was good, its time, and the rules' age")
    func reloads() throws {
      let before = clockSeconds()
      let daemon = try TestDaemon { $0.policy = Self.policy }
      let started = clockSeconds()
      expect(
        [
          #"limitd_reloads_total{result="success"}"#: 0,
          #"limitd_reloads_total{result="failure"}"#: 0, "limitd_reload_last_success": 1,
        ], try series(daemon))
      #expect(try series(daemon)["limitd_reload_duration_seconds"] == nil)
      for _ in 0..<3 { #expect(try daemon.ask("POST", "/v1/reload").status == 200) }
      let loaded = clockSeconds()
      usleep(200_000)
      try daemon.write(policy: "limits: 3")
      for _ in 0..<2 { #expect(try daemon.ask("POST", "/v1/reload").status == 422) }
      let found = try series(daemon)
      let now = clockSeconds()
      expect(
        [
          #"limitd_reloads_total{result="success"}"#: 3,
          #"limitd_reloads_total{result="failure"}"#: 2, "limitd_reload_last_success": 0,
        ], found)
      let took = try #require(found["limitd_reload_duration_seconds"])
      let age = try #require(found["limitd_rules_age_seconds"])
      let uptime = try #require(found["limitd_uptime_seconds"])
      #expect(took > 0 && took < now - loaded - 0.2, "\(took)")
      #expect(age >= 0.2 && age < now - started, "\(age)")
      #expect(uptime > age && uptime < now - before, "\(uptime)")
      try daemon.write(policy: Self.policy)
      #expect(try daemon.ask("POST", "/v1/reload").status == 200)
      #expect(try series(daemon)["limitd_reload_last_success"] == 1)
    }
  }
}
