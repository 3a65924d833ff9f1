// Everything that can be wrong in the section `daemon`, besides ranges: `DaemonRangeTests` has those.

import LimitPolicy
import Testing

private let daemonKeys =
  "socket, admin-socket, state-dir, live-state, snapshot-interval, workers, spin, log-level, metrics, "
  + "table, limits and access"

@Suite struct DaemonErrorTests {
  /// Expects what is said about a section, less the file's name and line.
  private func expect(
    _ section: String,
    _ said: String...,
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(
      daemonDiagnostics(section) == said.map { "p.yaml:9:\($0)" },
      sourceLocation: location
    )
  }

  @Test func unknownKeysAreReportedWithTheNearestName() {
    expect("{sockt: x}", "10: daemon: unknown key 'sockt'; did you mean 'socket'?")
    expect("{x: 1}", "10: daemon: unknown key 'x'; known here: \(daemonKeys)")
    expect(
      "{socket: {user: x}}",
      "19: daemon, socket: unknown key 'user'; known here: path, mode and group"
    )
    expect(
      "{admin-socket: {mod: x}}",
      "25: daemon, admin-socket: unknown key 'mod'; did you mean 'mode'?"
    )
    expect(
      "{table: {slots: 1}}",
      "18: daemon, table: unknown key 'slots'; known here: key-slots, tenant-slots, tenants, "
        + "keys-per-tenant and guest-share"
    )
    expect(
      "{limits: {frame-byte: 1, connections_per_uid: 1}}",
      "19: daemon, limits: unknown key 'frame-byte'; did you mean 'frame-bytes'?",
      "34: daemon, limits: unknown key 'connections_per_uid'; did you mean "
        + "'connections-per-uid'?"
    )
    expect(
      "{access: [{user: u, roles: [query], tenant: [t]}]}",
      "45: daemon, access: unknown key 'tenant'; did you mean 'tenants'?"
    )
    expect(
      "{limits: {<<: {}}}",
      "19: daemon, limits: merge keys (<<) are not supported; write the values out"
    )
  }

  @Test func metricsAreReadFromThisHostOnly() {
    for address in ["0.0.0.0:9648", "10.0.0.1:9648", "[::]:9648", "localhost:9648", "127.1:9648"] {
      expect(
        "{metrics: {listen: '\(address)'}}",
        "28: daemon, metrics: listen '\(address)' is no loopback address, and whoever reaches "
          + "another one could read the metrics; write 127.0.0.1:9648 or [::1]:9648"
      )
    }
    for address in ["127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:+1"] {
      expect(
        "{metrics: {listen: '\(address)'}}",
        "28: daemon, metrics: listen '\(address)' has no port from 1 to 65535; write one, as in "
          + "127.0.0.1:9648"
      )
    }
    expect(
      "{metrics: {listen: []}}",
      "28: daemon, metrics: listen must be an address such as 127.0.0.1:9648, found a list"
    )
    expect(
      "{metrics: {port: 1}}", "20: daemon, metrics: unknown key 'port'; known here: listen")
  }

  @Test func duplicateKeysAreReported() {
    expect(
      "{spin: 0, spin: 0}",
      "19: duplicate key 'spin', first given in line 9; keep one of them"
    )
    expect(
      "{access: [{user: u, user: v, roles: [query]}]}",
      "29: duplicate key 'user', first given in line 9; keep one of them"
    )
  }

  @Test func wrongTypesAreReported() {
    expect("[]", "9: daemon: expected a mapping of \(daemonKeys), found a list")
    expect(
      "",
      "8: daemon: expected a mapping of \(daemonKeys), found nothing; write {} where there are "
        + "none"
    )
    expect(
      "{socket: []}",
      "18: daemon: socket must be a path such as /run/limitd/limitd.sock, or a mapping of path, "
        + "mode and group, found a list"
    )
    expect(
      "{admin-socket: ~}",
      "24: daemon: admin-socket must be a path such as /run/limitd/admin.sock, or a mapping of "
        + "path, mode and group, found nothing"
    )
    expect(
      "{socket: {path: [], mode: {}, group: []}}",
      "25: daemon, socket: path must be a path such as /run/limitd/limitd.sock, found a list",
      "35: daemon, socket: mode must be octal, such as 0660, found a mapping",
      "46: daemon, socket: group must be a name or a number, found a list"
    )
    expect(
      "{state-dir: {}, workers: [], spin: {}, log-level: []}",
      "21: daemon: state-dir must be a path such as /var/lib/limitd, found a mapping",
      "34: daemon: workers must be a count such as 2, found a list",
      "44: daemon: spin must be a duration such as 50us, found a mapping",
      "59: daemon: log-level must be trace, debug, info, notice, warning, error or critical, "
        + "found a list"
    )
    expect(
      "{table: 5, limits: []}",
      "17: daemon, table: expected a mapping of key-slots, tenant-slots, tenants, "
        + "keys-per-tenant and guest-share, found '5'",
      "28: daemon, limits: expected a mapping of connections, connections-per-uid, "
        + "hello-timeout, frame-timeout, stall-timeout, frame-bytes, batch-items, queue-bytes, "
        + "key-bytes, handles, permits, memory-bytes and memory-bytes-per-uid, found a list"
    )
    expect(
      "{table: {key-slots: [], keys-per-tenant: ~}}",
      "29: daemon, table: key-slots must be a count such as 1M, found a list",
      "50: daemon, table: keys-per-tenant must be a count such as 250k, found nothing"
    )
    expect(
      "{limits: {frame-bytes: {}, frame-timeout: ~}}",
      "32: daemon, limits: frame-bytes must be a count such as 65_536, found a mapping",
      "51: daemon, limits: frame-timeout must be a duration such as 2s, found nothing"
    )
  }

  @Test func unknownLogLevelsAreReported() {
    expect(
      "{log-level: warn}",
      "21: daemon: unknown log-level 'warn'; write trace, debug, info, notice, warning, error or "
        + "critical"
    )
    expect(
      "{log-level: Debug}",
      "21: daemon: unknown log-level 'Debug'; did you mean 'debug'?"
    )
  }

  @Test func pathsAreChecked() {
    let longest = String(repeating: "x", count: 107)
    let cut = String(repeating: "x", count: 60)
    let directory = String(repeating: "d", count: 4095)
    expect("{socket: \(longest), admin-socket: {path: \(longest.dropLast())}}")
    expect(
      "{socket: x\(longest)}",
      "18: daemon: socket '\(cut)…' has 108 bytes; write 1 to 107, such as "
        + "/run/limitd/limitd.sock"
    )
    expect(
      "{admin-socket: {path: ''}}",
      "31: daemon, admin-socket: path '' has 0 bytes; write 1 to 107, such as "
        + "/run/limitd/admin.sock"
    )
    expect(
      #"{socket: "a\0b"}"#,
      #"18: daemon: socket 'a\0b' contains a NUL; write a path such as /run/limitd/limitd.sock"#
    )
    expect("{state-dir: \(directory)}")
    expect(
      "{state-dir: d\(directory)}",
      "21: daemon: state-dir '\(String(repeating: "d", count: 60))…' has 4096 bytes; write 1 to "
        + "4095, such as /var/lib/limitd"
    )
    expect(
      "{state-dir: ''}",
      "21: daemon: state-dir '' has 0 bytes; write 1 to 4095, such as /var/lib/limitd"
    )
  }

  @Test func theSocketsHaveDifferentPaths() {
    let advice = "give each its own"
    expect(
      "{admin-socket: a, socket: {mode: 600, path: a}}",
      "53: daemon: socket and admin-socket have the same path 'a'; \(advice)"
    )
    expect(
      "{socket: /run/limitd/admin.sock}",
      "18: daemon: socket and admin-socket have the same path '/run/limitd/admin.sock'; \(advice)"
    )
  }

  @Test func modesAreChecked() {
    let digits = "write three octal digits such as 0660"
    let owner = "keeps the owner from reading or writing; begin it with 6 or 7, as in 0660"
    expect("{socket: {mode: 0668}}", "25: daemon, socket: mode '0668' is not a mode; \(digits)")
    expect("{socket: {mode: rw-}}", "25: daemon, socket: mode 'rw-' is not a mode; \(digits)")
    expect("{socket: {mode: 0o660}}", "25: daemon, socket: mode '0o660' is not a mode; \(digits)")
    expect("{socket: {mode: '+660'}}", "25: daemon, socket: mode '+660' is not a mode; \(digits)")
    expect("{socket: {mode: 00660}}", "25: daemon, socket: mode '00660' is not a mode; \(digits)")
    expect("{socket: {mode: 66}}", "25: daemon, socket: mode '66' is not a mode; \(digits)")
    expect("{socket: {mode: ''}}", "25: daemon, socket: mode '' is not a mode; \(digits)")
    expect(
      "{socket: {mode: 1000}}",
      "25: daemon, socket: mode '1000' is above 0777, the permissions; \(digits)")
    expect(
      "{socket: {mode: 7777}}",
      "25: daemon, socket: mode '7777' is above 0777, the permissions; \(digits)")
    expect("{socket: {mode: 0577}}", "25: daemon, socket: mode '0577' \(owner)")
    expect("{socket: {mode: 0377}}", "25: daemon, socket: mode '0377' \(owner)")
    expect("{socket: {mode: 0000}}", "25: daemon, socket: mode '0000' \(owner)")
  }

  @Test func groupsOfSocketsAreCheckedAsThoseOfRules() {
    expect(
      "{socket: {group: -x}}",
      "26: daemon, socket: group '-x' is neither a name nor a number; write a name such as "
        + "www-data, or a number such as 1000"
    )
    expect(
      "{socket: {group: 4294967295}}",
      "26: daemon, socket: group 4294967295 is out of range; write a number from 0 to 4294967294"
    )
  }

  @Test func allErrorsAreReportedAtOnceInTheOrderOfTheFile() {
    let text = """
      daemon:
        access: [{user: u}]
        limits: {handles: 0}
        spin: 1s
        socket: {mode: 8}
      limits:
        a: {algorithm: concurrency, limit: 1, scope: planet}
      policies:
        p: [b]

      """
    #expect(
      diagnostics(of: text) == [
        "p.yaml:2:12: daemon, access: the rule has no roles; write at least one, such as roles: "
          + "[query]",
        "p.yaml:3:21: daemon, limits: handles 0 is out of range; write 1 to 65_535",
        "p.yaml:4:9: daemon: spin 1s is out of range; write 0s to 10ms",
        "p.yaml:5:18: daemon, socket: mode '8' is not a mode; write three octal digits such as "
          + "0660",
        "p.yaml:7:48: limit 'a': unknown scope 'planet'; write tenant, key or global",
        "p.yaml:9:7: policy 'p': there is no limit 'b'; define it under limits",
      ]
    )
  }
}
