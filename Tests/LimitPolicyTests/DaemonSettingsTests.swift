// What the section `daemon` comes to where it is right: defaults, everything set, each way to
// write a value.

import Foundation
import LimitEngine
import LimitPolicy
import Testing

/// A file with this section `daemon`, which begins in line 9, column 9.
func daemonFile(_ section: String) -> String { file() + "daemon: \(section)\n" }

/// What is said about a section `daemon`.
func daemonDiagnostics(_ section: String) -> [String] { diagnostics(of: daemonFile(section)) }

/// A file in which every setting differs from its default.
let daemonExample =
  file() + """
    daemon:
      socket: {path: limitd.sock, mode: 0666, group: limitd}
      admin-socket: {path: /tmp/admin.sock, mode: "640", group: 27}
      state-dir: state
      live-state: live
      snapshot-interval: 30s
      workers: 2
      spin: 50us
      log-level: debug
      metrics: {listen: 127.8.0.1:9648}
      table: {key-slots: 1M, tenant-slots: 128k, tenants: 65_537, keys-per-tenant: 250k, guest-share: 25%}
      limits:
        connections: 1
        connections-per-uid: 2
        hello-timeout: 3s
        frame-timeout: 4s
        stall-timeout: 6s
        frame-bytes: 64k
        batch-items: 8
        queue-bytes: 1M
        key-bytes: 9
        handles: 10
        permits: 11
      access:
        - {group: www-data, roles: [query]}
        - {user: billing, roles: [query, settle], tenants: [t]}
        - {user: 1000, roles: [observe, administer]}
        - group: 4294967294
          roles: [settle, observe, administer, query]

    """

@Suite struct DaemonSettingsTests {
  private func settings(_ section: String) throws -> DaemonSettings {
    try PolicyFile.parse(daemonFile(section), path: "p.yaml").daemon
  }

  @Test func withoutTheSectionTheDefaultsApply() throws {
    let defaults = DaemonSettings()
    #expect(try PolicyFile.parse(file(), path: "p.yaml").daemon == defaults)
    #expect(try settings("{}") == defaults)
    #expect(try settings("{socket: {}, admin-socket: {}, table: {}, limits: {}}") == defaults)
    #expect(daemonDiagnostics("{socket: {}, admin-socket: {}, table: {}, limits: {}}") == [])
  }

  @Test func theDefaultsAreThoseOfTheDescription() {
    let settings = DaemonSettings()
    #expect(settings.socket == .init(path: "/run/limitd/limitd.sock", mode: 0o660, group: nil))
    #expect(settings.adminSocket == .init(path: "", mode: 0o600, group: nil))
    #expect(settings.adminSocketPath == "/run/limitd/admin.sock")
    #expect(settings.stateDirectory == "/var/lib/limitd")
    #expect(settings.liveState == .besideSocket)
    #expect(settings.liveStatePath == "/run/limitd/limitd.live")
    #expect(settings.snapshotInterval == 10 * .second)
    #expect(settings.workers == nil)
    #expect(settings.spin == .zero)
    #expect(settings.logLevel == .info)
    #expect(settings.metricsListener == nil)
    #expect(settings.table.keySlots == 1_048_576)
    #expect(settings.table.tenantSlots == 131_072)
    #expect(settings.table.tenants == 65_536)
    #expect(settings.table.keysPerTenant == nil)
    #expect(settings.table.guestPercent == 50)
    #expect(settings.limits.connections == 4096)
    #expect(settings.limits.connectionsPerUser == 1024)
    #expect(settings.limits.helloTimeout == .second)
    #expect(settings.limits.frameTimeout == 2 * .second)
    #expect(settings.limits.stallTimeout == 5 * .second)
    #expect(settings.limits.frameBytes == 65_536)
    #expect(settings.limits.batchItems == 1024)
    #expect(settings.limits.queueBytes == 131_072)
    #expect(settings.limits.memoryBytes == 268_435_456)
    #expect(settings.limits.memoryBytesPerUser == 67_108_864)
    #expect(settings.limits.keyBytes == 1024)
    #expect(settings.limits.handles == 1024)
    #expect(settings.limits.permits == 1024)
    #expect(settings.access == nil)
  }

  @Test func theProtocolsPageHasTheseDefaults() throws {
    let limits = DaemonSettings.Limits()
    let page = try String(
      contentsOf: URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../docs/PROTOCOL.md"), encoding: .utf8)
    let section = try #require(page.components(separatedBy: "\n## Limits\n").dropFirst().first)
    var found: [String: UInt64] = [:]
    for row in section.prefix(while: { $0 != "#" }).split(separator: "\n") where row.contains("`") {
      let columns = row.split(separator: "|")
      let numbers = columns[1].replacing(",", with: "").split { !$0.isNumber }.map { UInt64($0)! }
      let names = columns[2].split(separator: "`").filter { $0.contains { $0.isLetter } }
      for (name, number) in zip(names, numbers) {
        found[name.split(separator: ".").last.map(String.init)!] = number
      }
    }
    let second = Nanoseconds.second.count
    #expect(
      found == [
        "hello-timeout": limits.helloTimeout.count / second,
        "frame-timeout": limits.frameTimeout.count / second,
        "stall-timeout": limits.stallTimeout.count / second,
        "frame-bytes": UInt64(limits.frameBytes), "batch-items": UInt64(limits.batchItems),
        "key-bytes": UInt64(limits.keyBytes), "handles": UInt64(limits.handles),
        "permits": UInt64(limits.permits), "connections": UInt64(limits.connections),
        "connections-per-uid": UInt64(limits.connectionsPerUser),
      ])
  }

  @Test func aMetricsAddressIsWrittenAsItIsRead() throws {
    for address in ["127.0.0.1:1", "127.255.3.4:65535", "[::1]:9648"] {
      #expect(
        try settings("{metrics: {listen: '\(address)'}}").metricsListener?.description == address)
    }
  }

  @Test func everythingIsReadBack() throws {
    var expected = DaemonSettings()
    expected.socket = .init(path: "limitd.sock", mode: 0o666, group: "limitd")
    expected.adminSocket = .init(path: "/tmp/admin.sock", mode: 0o640, group: "27")
    expected.stateDirectory = "state"
    expected.liveState = .file("live")
    expected.snapshotInterval = 30 * .second
    expected.workers = 2
    expected.spin = Nanoseconds(50_000)
    expected.logLevel = .debug
    expected.metricsListener = .init(ipv4: 0x7F08_0001, port: 9648)
    expected.table.keySlots = 1_000_000
    expected.table.tenantSlots = 128_000
    expected.table.tenants = 65_537
    expected.table.keysPerTenant = 250_000
    expected.table.guestPercent = 25
    expected.limits.connections = 1
    expected.limits.connectionsPerUser = 2
    expected.limits.helloTimeout = 3 * .second
    expected.limits.frameTimeout = 4 * .second
    expected.limits.stallTimeout = 6 * .second
    expected.limits.frameBytes = 64_000
    expected.limits.batchItems = 8
    expected.limits.queueBytes = 1_000_000
    expected.limits.keyBytes = 9
    expected.limits.handles = 10
    expected.limits.permits = 11
    expected.access = [
      .init(subject: .group("www-data"), roles: .query, tenants: nil, line: 33, column: 15),
      .init(
        subject: .user("billing"),
        roles: [.query, .settle],
        tenants: ["t"],
        line: 34,
        column: 14
      ),
      .init(
        subject: .userID(1000),
        roles: [.observe, .administer],
        tenants: nil,
        line: 35,
        column: 14
      ),
      .init(
        subject: .groupID(4_294_967_294),
        roles: [.query, .settle, .observe, .administer],
        tenants: nil,
        line: 36,
        column: 14
      ),
    ]
    let file = try PolicyFile.parse(daemonExample, path: "p.yaml")
    #expect(file.daemon == expected)
    #expect(file.warnings == [])
  }

  @Test func theLiveStateLiesBesideTheSocketUnlessItIsSaid() throws {
    #expect(try settings("{socket: /run/x.sock}").liveStatePath == "/run/x.live")
    #expect(try settings("{socket: /run/x}").liveStatePath == "/run/x.live")
    #expect(try settings("{live-state: off}").liveStatePath == nil)
    #expect(try settings("{live-state: ./off}").liveStatePath == "./off")
  }

  @Test func aSocketMayBeAPathAlone() throws {
    var expected = DaemonSettings()
    expected.socket.path = "/run/x.sock"
    expected.adminSocket.path = "null"
    #expect(try settings("{socket: /run/x.sock, admin-socket: 'null'}") == expected)
  }

  @Test(arguments: DaemonSettings.LogLevel.allCases)
  func everyLogLevelIsRead(level: DaemonSettings.LogLevel) throws {
    #expect(try settings("{log-level: \(level.rawValue)}").logLevel == level)
  }

  @Test(arguments: [("600", 0o600), ("0777", 0o777), ("0660", 0o660), ("'0700'", 0o700)])
  func modesAreOctal(text: String, mode: UInt32) throws {
    #expect(try settings("{socket: {mode: \(text)}}").socket.mode == mode)
  }

  @Test(arguments: [("0", 0), ("4294967294", 4_294_967_294), ("1_000", 1000), ("'12'", 12)])
  func digitsAreANumber(text: String, number: UInt32) throws {
    let section = "{access: [{user: \(text), roles: [query]}, {group: \(text), roles: [query]}]}"
    let access = try #require(try settings(section).access)
    #expect(access.map(\.subject) == [.userID(number), .groupID(number)])
  }

  @Test(arguments: [
    "_x", "3com", "1k", "DOMAIN\\domain users", "é", String(repeating: "u", count: 255),
  ])
  func otherTextIsAName(text: String) throws {
    let access = try #require(try settings("{access: [{user: \(text), roles: [query]}]}").access)
    #expect(access.map(\.subject) == [.user(text)])
  }

  @Test func anEmptyAccessListIsNotTheDefault() throws {
    #expect(try settings("{access: []}").access == [])
  }

  @Test func theExampleOfTheDescriptionHasNoErrors() throws {
    let path = examplePath.replacing("examples/policy.yaml", with: "docs/POLICY.md")
    let description = String(decoding: contents(of: path), as: UTF8.self)
    let start = try #require(description.firstRange(of: "```yaml\ndaemon:"))
    let section = description[start.lowerBound...].dropFirst("```yaml\n".count)
    let end = try #require(section.firstRange(of: "```"))
    let tenants = "tenants:\n  \"*\": {}\n"
    let text = file().replacing("tenants:\n", with: tenants) + section[..<end.lowerBound]
    #expect(diagnostics(of: text) == [])
    #expect(try PolicyFile.parse(text, path: "p.yaml").daemon.access?.count == 3)
  }
}
