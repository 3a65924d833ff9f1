// What docs/monitoring ships, and what docs/METRICS.md says, against the daemon's own metrics and against
// Prometheus itself.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct MonitoringTests {
    private static let docs = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appending(path: "docs")

    private func text(_ path: String) throws -> String {
      try String(contentsOf: Self.docs.appending(path: path), encoding: .utf8)
    }

    private func names(in text: String) -> Set<String> {
      // A histogram's series have names of their own.
      Set(
        text.matches(of: /limitd_[a-z_]+/).map {
          String($0.output).replacing("_seconds_bucket", with: "_seconds")
        })
    }

    @Test("The page describes every metric that there is, and dashboard and alerts use no other")
    func named() throws {
      let daemon = try TestDaemon()
      _ = try daemon.peer().decide(Request.query("acme", "many"))
      _ = try daemon.ask("POST", "/v1/snapshot")
      try daemon.reload(policy: DaemonOptions.defaultPolicy)
      let there = try daemon.ask("GET", "/metrics").text.matches(of: /# TYPE (limitd_[a-z_]+)/)
      let known = Set(there.map { String($0.output.1) })
      #expect(known.count > 20)
      #expect(names(in: try text("METRICS.md")) == known)
      for file in ["alerts.yml", "alerts-test.yml", "dashboard.json"] {
        #expect(names(in: try text("monitoring/\(file)")).isSubset(of: known), "\(file)")
      }
      let dashboard = try JSONSerialization.jsonObject(
        with: Data(try text("monitoring/dashboard.json").utf8))
      #expect(((dashboard as? [String: Any])?["panels"] as? [Any])?.count == 12)
    }

    @Test("Each alert fires for what it is for", .enabled(if: program("promtool") != nil))
    func alerts() throws {
      let result = try run(
        program("promtool")!,
        ["test", "rules", Self.docs.appending(path: "monitoring/alerts-test.yml").path])
      #expect(result.code == 0, "\(result.output)\(result.errors)")
    }

    @Test(
      "Prometheus scrapes a socket that systemd hands over, and finds no fault",
      .enabled(if: program("prometheus") != nil && program("systemd-socket-activate") != nil))
    func scraped() throws {
      let daemon = try TestDaemon(starts: false)
      let (metricsPort, ownPort) = (try freePort(), try freePort())
      // It listens, and starts the daemon when somebody comes.
      let activated = try ChildProgram(
        program("systemd-socket-activate")!,
        [
          "--listen=127.0.0.1:\(metricsPort)", "--fdname=metrics", TestDaemon.folder + "/limitd",
          "--config", daemon.configPath, "--socket", daemon.socketPath, "--state-dir",
          daemon.statePath, "--live-state", "off",
        ])
      defer { activated.kill() }
      let configuration = try text("monitoring/prometheus.yml")
        .replacing("127.0.0.1:9648", with: "127.0.0.1:\(metricsPort)")
        .replacing(
          "alerts.yml", with: Self.docs.appending(path: "monitoring/alerts.yml").path)
      let path = "\(daemon.folder)/prometheus.yml"
      try ("global: {scrape_interval: 1s}\n" + configuration)
        .write(toFile: path, atomically: true, encoding: .utf8)
      let prometheus = try ChildProgram(
        program("prometheus")!,
        [
          "--config.file=\(path)", "--storage.tsdb.path=\(daemon.folder)/tsdb", "--log.level=error",
          "--web.listen-address=127.0.0.1:\(ownPort)",
        ])
      defer { prometheus.kill() }
      func value(_ query: String) throws -> String? {
        let result = try run(
          program("promtool")!, ["query", "instant", "http://127.0.0.1:\(ownPort)", query])
        return result.code == 0 && !result.output.isEmpty ? result.output : nil
      }
      try wait(for: "a scrape", seconds: 60) {
        try value(#"up{job="limitd"} == 1"#) != nil
          && value("limitd_build_info == 1")?.contains("version=") == true
      }
      _ = try daemon.peer().decide(Request.query("acme", "many"))
      try wait(for: "a decision's count", seconds: 60) {
        try value(#"limitd_decisions_total{tenant="acme",limit="many",result="allow"} == 1"#) != nil
      }
      // What listens on TCP has metrics, and nothing else.
      let other = try run(
        "/bin/bash",
        [
          "-c",
          "exec 3<>/dev/tcp/127.0.0.1/\(metricsPort); printf 'GET /v1/status HTTP/1.1\\r\\n"
            + "host: x\\r\\nconnection: close\\r\\n\\r\\n' >&3; cat <&3",
        ])
      #expect(other.output.hasPrefix("HTTP/1.1 404") && !other.output.contains("limitd.yaml"))
    }

    /// A port of this host that nobody has now.
    func freePort() throws -> UInt16 {
      let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      defer { close(socket) }
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let status = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
        }
      }
      try #require(status)
      return UInt16(bigEndian: address.sin_port)
    }
  }
}

/// Where a program of Debian's is; `nil` where it is not installed.
private func program(_ name: String) -> String? {
  ["/usr/bin/\(name)"].first { access($0, X_OK) == 0 }
}
