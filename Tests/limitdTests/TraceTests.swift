// Recorded traffic over the socket is decided as offline, row by row: the same program asks an engine
// of its own, and then the daemon, on the trace's clock.

import DaemonSupport
import Foundation
import Testing

private let root = URL(filePath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent()

private func recording(_ name: String) -> String? {
  let path = root.deletingLastPathComponent().appending(path: "shared/data/\(name)").path
  return FileManager.default.fileExists(atPath: path) ? path : nil
}

private let accessLog = recording("web-access-2015.log")
private let conversations = recording("llm-conversation-2023.csv")

extension DaemonTests {
  @Suite struct TraceTests {
    /// Replays a trace offline and over the socket, and compares every row.
    private func compare(
      _ trace: String, _ flags: [String], under policy: String, rowCount: Int
    ) throws {
      let daemon = try TestDaemon {
        $0.policy = policy
        $0.flags = ["--trace-clock"]
      }
      let limitctl = TestDaemon.folder + "/limitctl"
      let common = ["replay", "--config", daemon.configPath, "--format", "csv"] + flags + [trace]
      let offline = try run(limitctl, common)
      let online = try run(
        limitctl, common + ["--live", "--socket", daemon.socketPath, "--trace-clock"])
      #expect(offline.code == 0, "\(offline.errors)")
      #expect(online.code == 0, "\(online.errors)")
      let (expected, rows) = (lines(offline.output), lines(online.output))
      #expect(expected.count == rowCount)
      #expect(rows.count == expected.count)
      for (number, (row, other)) in zip(expected, rows).enumerated() where row != other {
        Issue.record("row \(number + 1) is \(row) offline, and \(other) over the socket")
        return
      }
      #expect(rows.contains { $0.contains(",deny,") } && rows.contains { $0.contains(",allow,") })
    }

    /// The rows behind the header.
    private func lines(_ text: String) -> [Substring] {
      Array(text.split(separator: "\n").dropFirst())
    }

    @Test("The sample trace under the example's policies")
    func sample() throws {
      let policy = try String(
        contentsOf: root.appending(path: "examples/policy.yaml"), encoding: .utf8)
      try compare(
        root.appending(path: "examples/sample-trace.csv").path, [], under: policy, rowCount: 4947)
    }

    private static let web = """
      limits:
        host: {algorithm: token-bucket, rate: 1/2s, burst: 10, scope: tenant}
        page: {algorithm: sliding-window, limit: 4, window: 1m, scope: key, soft: 50%}
        all: {algorithm: token-bucket, rate: 2/s, burst: 50, scope: global, mode: shadow}
      policies: {web: [host, page, all]}
      tenants: {"*": {}}
      """
    private static let webFlags = [
      "--input", "combined", "--policy", "web", "--tenant-from", "host", "--key-from", "path",
    ]

    @Test("The example's access log, a tenant for each host")
    func exampleAccess() throws {
      let path = root.appending(path: "examples/access.log").path
      try compare(path, Self.webFlags, under: Self.web, rowCount: 240)
    }

    @Test(
      "An access log, a tenant for each host",
      .enabled(if: accessLog != nil, "../shared/data is not here"))
    func access() throws {
      try compare(try #require(accessLog), Self.webFlags, under: Self.web, rowCount: 10_000)
    }

    @Test(
      "The calls of an LLM service, under a budget of tokens",
      .enabled(if: conversations != nil, "../shared/data is not here"))
    func llm() throws {
      let policy = """
        limits:
          budget: {algorithm: sliding-window, limit: 500_000, window: 1m, scope: tenant, unit: tokens}
          calls: {algorithm: token-bucket, rate: 6/s, burst: 20, scope: tenant}
        policies: {chat: [budget, calls]}
        tenants: {acme: {}}
        """
      let flags = [
        "--columns", "time=TIMESTAMP,cost=ContextTokens+GeneratedTokens", "--policy", "chat",
        "--tenant-from", "acme",
      ]
      try compare(try #require(conversations), flags, under: policy, rowCount: 19_366)
    }
  }
}
