// The ranges of the section `daemon`: both ends are read, and one beyond either end is refused.

import LimitEngine
import LimitPolicy
import Testing

/// A count and the ends of its range.
struct CountRange: Sendable, CustomTestStringConvertible {
  let keys: [String]
  let least: Int
  let most: Int
  let value: @Sendable (DaemonSettings) -> Int?

  init(
    _ keys: String..., range: ClosedRange<Int>, value: @escaping @Sendable (DaemonSettings) -> Int?
  ) {
    self.keys = keys
    (least, most) = (range.lowerBound, range.upperBound)
    self.value = value
  }

  var testDescription: String { keys.joined(separator: ", ") }

  static let all = [
    CountRange("workers", range: 1...64) { $0.workers },
    CountRange("table", "key-slots", range: 1024...4_294_967_296) { $0.table.keySlots },
    CountRange("table", "tenant-slots", range: 1024...4_294_967_296) { $0.table.tenantSlots },
    CountRange("table", "tenants", range: 1...8_000_000) { $0.table.tenants },
    CountRange("limits", "connections", range: 1...1_000_000) { $0.limits.connections },
    CountRange("limits", "connections-per-uid", range: 1...1_000_000) {
      $0.limits.connectionsPerUser
    },
    CountRange("limits", "frame-bytes", range: 1024...1_048_576) { $0.limits.frameBytes },
    CountRange("limits", "batch-items", range: 1...4096) { $0.limits.batchItems },
    CountRange("limits", "queue-bytes", range: 16_384...64_000_000) { $0.limits.queueBytes },
    CountRange("limits", "key-bytes", range: 1...8192) { $0.limits.keyBytes },
    CountRange("limits", "handles", range: 1...65_535) { $0.limits.handles },
    CountRange("limits", "permits", range: 1...65_535) { $0.limits.permits },
  ]
}

/// A duration and the ends of its range.
struct DurationRange: Sendable, CustomTestStringConvertible {
  let keys: [String]
  let least: String
  let most: String
  let below: String?
  let above: String
  let value: @Sendable (DaemonSettings) -> Nanoseconds

  var testDescription: String { keys.joined(separator: ", ") }

  static let all = [
    DurationRange(keys: ["spin"], least: "0s", most: "10ms", below: nil, above: "10_000_001ns") {
      $0.spin
    },
    DurationRange(
      keys: ["snapshot-interval"], least: "1s", most: "1h", below: "999_999_999ns",
      above: "3_600_000_000_001ns"
    ) { $0.snapshotInterval },
    DurationRange(
      keys: ["limits", "hello-timeout"], least: "10ms", most: "1m", below: "9_999_999ns",
      above: "60_000_000_001ns"
    ) { $0.limits.helloTimeout },
    DurationRange(
      keys: ["limits", "frame-timeout"], least: "10ms", most: "1m", below: "9_999_999ns",
      above: "60_000_000_001ns"
    ) { $0.limits.frameTimeout },
    DurationRange(
      keys: ["limits", "stall-timeout"], least: "10ms", most: "10m", below: "9_999_999ns",
      above: "600_000_000_001ns"
    ) { $0.limits.stallTimeout },
  ]
}

@Suite struct DaemonRangeTests {
  /// A section `daemon` with one setting.
  private func section(_ keys: [String], _ value: String) -> String {
    keys.reversed().reduce(value) { "{\($1): \($0)}" }
  }

  /// What is said about one setting.
  private func message(_ keys: [String], _ what: String) -> String {
    let column = 9 + keys.reduce(0) { $0 + $1.utf8.count + 3 }
    let subject = (["daemon"] + keys.dropLast()).joined(separator: ", ")
    return "p.yaml:9:\(column): \(subject): \(keys.last!) \(what)"
  }

  @Test(arguments: CountRange.all)
  func countsHaveRanges(range: CountRange) throws {
    for count in [range.least, range.most] {
      let text = daemonFile(section(range.keys, "\(count)"))
      #expect(range.value(try PolicyFile.parse(text, path: "p").daemon) == count)
    }
    let ends =
      "\(Quantity.text(count: UInt64(range.least))) to \(Quantity.text(count: UInt64(range.most)))"
    for count in [UInt64(range.least - 1), UInt64(range.most + 1), .max] {
      #expect(
        daemonDiagnostics(section(range.keys, "\(count)")) == [
          message(
            range.keys,
            "\(Quantity.text(count: count)) is out of range; write \(ends)"
          )
        ]
      )
    }
    #expect(
      daemonDiagnostics(section(range.keys, "1x")) == [
        message(range.keys, "'1x' ends in an unknown suffix 'x'; use k, M or G")
      ]
    )
  }

  @Test(arguments: DurationRange.all)
  func durationsHaveRanges(range: DurationRange) throws {
    for duration in [range.least, range.most] {
      let text = daemonFile(section(range.keys, duration))
      let expected = try Quantity.duration(duration)
      #expect(range.value(try PolicyFile.parse(text, path: "p").daemon) == expected)
    }
    for duration in [range.below, range.above, "18_446_744_073_709_551_615ns"].compactMap({ $0 }) {
      #expect(
        daemonDiagnostics(section(range.keys, duration)) == [
          message(
            range.keys,
            "\(duration) is out of range; write \(range.least) to \(range.most)"
          )
        ]
      )
    }
    #expect(
      daemonDiagnostics(section(range.keys, "5")) == [
        message(
          range.keys,
          "'5' has no unit of time; write one of ns, us, ms, s, m, h, d, as in 10s"
        )
      ]
    )
  }

  @Test func zeroNeedsNoUnitOfTime() {
    #expect(daemonDiagnostics("{spin: 0}") == [])
    #expect(
      daemonDiagnostics("{limits: {hello-timeout: 0}}") == [
        "p.yaml:9:34: daemon, limits: hello-timeout 0s is out of range; write 10ms to 1m"
      ]
    )
  }

  @Test func aTenantsKeysFitTheSlots() {
    #expect(daemonDiagnostics("{table: {keys-per-tenant: 1}}") == [])
    #expect(daemonDiagnostics("{table: {keys-per-tenant: 1_048_576}}") == [])
    #expect(daemonDiagnostics("{table: {keys-per-tenant: 1024, key-slots: 1024}}") == [])
    #expect(
      daemonDiagnostics("{table: {keys-per-tenant: 4294967296, key-slots: 4294967296}}") == [])
    #expect(
      daemonDiagnostics("{table: {keys-per-tenant: 0}}") == [
        "p.yaml:9:35: daemon, table: keys-per-tenant 0 is out of range; write 1 to 4_294_967_296"
      ]
    )
    #expect(
      daemonDiagnostics("{table: {keys-per-tenant: 1_048_577}}") == [
        "p.yaml:9:35: daemon, table: keys-per-tenant 1_048_577 is above key-slots; write at most "
          + "1_048_576"
      ]
    )
    #expect(
      daemonDiagnostics("{table: {keys-per-tenant: 1025, key-slots: 1024}}") == [
        "p.yaml:9:35: daemon, table: keys-per-tenant 1025 is above key-slots; write at most 1024"
      ]
    )
    // Slots that are wrong are compared with nothing.
    #expect(
      daemonDiagnostics("{table: {keys-per-tenant: 1025, key-slots: 1}}") == [
        "p.yaml:9:52: daemon, table: key-slots 1 is out of range; write 1024 to 4_294_967_296"
      ]
    )
  }

  @Test("A guests' share is a whole percentage, none and all included")
  func guestShares() {
    for share in ["0%", "50%", "100%"] {
      #expect(daemonDiagnostics("{table: {guest-share: \(share)}}") == [])
    }
    for share in ["50", "101%", "-1%", "half", "12.5%", "%"] {
      #expect(
        daemonDiagnostics("{table: {guest-share: '\(share)'}}") == [
          "p.yaml:9:31: daemon, table: guest-share '\(share)' is no part; write a whole percentage, "
            + "0% to 100%"
        ])
    }
  }
}
