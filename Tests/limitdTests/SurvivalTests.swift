// Daemons that are killed and started again: nothing that was answered is forgotten, and nothing is
// admitted twice. LIMITD_CRASH_KILLS says how many times; a run prints its seed.

import DaemonSupport
import Foundation
import Glibc
import TestSupport
import Testing

extension DaemonTests {
  @Suite struct SurvivalTests {
    private static let kills =
      ProcessInfo.processInfo.environment["LIMITD_CRASH_KILLS"].flatMap { Int($0) } ?? 12

    /// So slow that nothing comes back in a test.
    private static let policy = policy(rate: "1/1d")
    /// The same units at another rate: what a reload changes between two kills.
    private static let otherPolicy = policy(rate: "1/2d")

    private static func policy(rate: String) -> String {
      """
      limits:
        bucket: {algorithm: token-bucket, rate: \(rate), burst: 300, scope: key}
        window: {algorithm: sliding-window, limit: 300, window: 31d, scope: key}
        held: {algorithm: concurrency, limit: 3, scope: key}
      policies:
        bucket: [bucket]
        window: [window]
        both: [window, bucket]
        held: [held]
      tenants: {"*": {}, acme: {}}
      """
    }

    private static let otherSettings = "tenant-slots: 1024, tenants: 64, keys-per-tenant: 4096"

    /// What a client knows of one key's units: charged at least and at most, and admitted.
    private struct Known {
      var low: UInt64 = 0
      var high: UInt64 = 0
      var admitted: UInt64 = 0
      var booked: UInt64 = 0
    }

    /// What the clients of all rounds know, by key. What may happen is added before it is asked for,
    /// and what happened when it was answered: so the bounds hold at every moment.
    private final class Ledger: @unchecked Sendable {
      private let lock = NSLock()
      private var known: [String: Known] = [:]

      func change(_ key: String, _ body: (inout Known) -> Void) {
        lock.withLock { body(&known[key, default: Known()]) }
      }

      var entries: [(String, Known)] { lock.withLock { known.map { ($0.key, $0.value) } } }
    }

    /// Asks for units of both limits, 50 at a time, and corrects every fourth decision, up or down,
    /// until the daemon is gone.
    ///
    /// - Parameter group: whose 40 keys; a key is used up after a few rounds.
    private static func ask(
      _ door: Door, _ ledger: Ledger, _ background: Background, group: Int, seed: UInt64
    ) {
      var random = SeededGenerator(seed: seed)
      guard let peer = try? door.peer() else { return }
      while !background.isOver {
        let queries = (0..<50).map { _ in
          (
            key: "\(group)-\(Int.random(in: 0..<40, using: &random))",
            cost: UInt64.random(in: 1...9, using: &random)
          )
        }
        for query in queries { ledger.change(query.key) { $0.high += query.cost } }
        let frames = queries.enumerated().flatMap { place, query in
          Request.query("acme", "both", cost: query.cost, key: query.key, id: UInt32(place))
        }
        guard (try? peer.send(frames)) != nil else { return }
        var settling: [(key: String, cost: UInt64, receipt: [UInt8])] = []
        for query in queries {
          guard let decision = (try? peer.receive())?.decision else { return }
          ledger.change(query.key) {
            if decision.isAllowed {
              $0.low += query.cost
              $0.admitted += query.cost
            } else {
              $0.high -= query.cost
            }
          }
          if decision.isAllowed, random.chance(1, in: 4) {
            settling.append((query.key, query.cost, decision.receipt))
          }
        }
        for (key, cost, receipt) in settling {
          let actual = UInt64.random(in: 0...(cost + 2), using: &random)
          let request = Request.settle(
            "acme", "both", cost: cost, actual: actual, receipt: receipt, key: key)
          let (more, less) = (actual - min(actual, cost), cost - min(actual, cost))
          ledger.change(key) {
            $0.high += more
            $0.booked += more
            $0.low -= less
          }
          guard let reply = try? peer.ask(request), reply.errorCode == nil else { return }
          ledger.change(key) {
            $0.low += more
            $0.high -= less
            $0.admitted -= less
          }
        }
        background.didRound()
      }
    }

    /// Holds a permit until the daemon is gone.
    private static func hold(_ door: Door, _ background: Background) {
      guard let peer = try? door.peer() else { return }
      _ = try? peer.ask(Request.query("acme", "held", .acquire, key: "p"))
      while !background.isOver { usleep(1000) }
    }

    /// That each limit has at least what clients know of, and at most what they may have used.
    private func audit(_ daemon: TestDaemon, _ ledger: Ledger, _ round: String) throws {
      let peer = try daemon.peer()
      for (key, known) in ledger.entries {
        for policy in ["bucket", "window"] {
          let decision = try peer.decide(Request.query("acme", policy, .peek, key: key))
          // Beyond full is full. Changed rules round against the caller, by less than a unit.
          let counted = decision.capacity - decision.remaining
          let most = known.high + 1
          #expect(
            min(known.low, decision.capacity) <= counted && counted <= most,
            "\(round): \(policy) of \(key) has \(counted), known \(known)")
          #expect(
            known.admitted <= decision.capacity + known.booked,
            "\(round): \(policy) of \(key) admitted \(known)")
        }
      }
      // All three permits are there: their holders' connections are gone.
      for _ in 0..<3 {
        #expect(
          try peer.decide(Request.query("acme", "held", .acquire, key: "p")).isAllowed, "\(round)")
      }
    }

    @Test("A daemon that is killed at any moment forgets nothing and admits nothing twice")
    func kills() throws {
      var random = SeededGenerator(seed: testSeed)
      // A daemon's limits are used up in the end.
      for first in stride(from: 1, through: Self.kills, by: 40) {
        let daemon = try TestDaemon {
          $0.policy = Self.policy
          $0.settings = """
              table: {key-slots: 4096, \(Self.otherSettings)}
              snapshot-interval: 1s
            """
        }
        let ledger = Ledger()
        for number in first...min(first + 39, Self.kills) {
          try kill(daemon, ledger, number, &random)
        }
      }
    }

    private func kill(
      _ daemon: TestDaemon, _ ledger: Ledger, _ number: Int, _ random: inout SeededGenerator
    ) throws {
      let round = "kill \(number), seed \(testSeed)"
      let seed = random.next()
      let door = daemon.door
      let delay = UInt32.random(in: 0...30_000, using: &random)
      let reloads = random.chance(1, in: 3)
      try withBackground(3) { background, client in
        client == 2
          ? Self.hold(door, background)
          : Self.ask(
            door, ledger, background, group: number % 10, seed: seed &+ UInt64(client))
      } during: { background in
        try wait(for: "load") { background.roundCount > 0 }
        if reloads {
          try daemon.write(policy: number.isMultiple(of: 2) ? Self.policy : Self.otherPolicy)
          daemon.signal(SIGHUP)
        }
        usleep(delay)
        daemon.kill()
      }
      if random.chance(1, in: 3) {
        // One more that is killed while it starts, now and then amid a move to other sizes.
        if random.chance(1, in: 2) {
          let slots = random.chance(1, in: 2) ? 4096 : 8192
          try daemon.write(
            policy: Self.policy, settings: "  table: {key-slots: \(slots), \(Self.otherSettings)}")
        }
        try daemon.spawn()
        usleep(UInt32.random(in: 0...20_000, using: &random))
        daemon.kill()
      }
      try daemon.start()
      try audit(daemon, ledger, round)
      #expect(!daemon.log.contains("live state is not used"), "\(round)")
    }

    @Test("Other sizes after a kill keep every bucket; two daemons never share a live state")
    func otherSizes() throws {
      let daemon = try TestDaemon { $0.policy = Self.policy }
      let peer = try daemon.peer()
      for key in 0..<500 {
        #expect(try peer.decide(Request.query("acme", "both", cost: 7, key: "k\(key)")).isAllowed)
      }
      let other = try TestDaemon(starts: false) { $0.flags = ["--live-state", daemon.livePath] }
      #expect {
        try other.start()
      } throws: {
        ($0 as? DaemonEnded)?.log.contains("in use by another daemon") ?? false
      }
      daemon.kill()
      try daemon.write(
        policy: Self.policy, settings: "  table: {key-slots: 8192, tenant-slots: 2048}")
      try daemon.start()
      #expect(daemon.hasLogged("copied to other sizes"))
      let next = try daemon.peer()
      for key in 0..<500 {
        let decision = try next.decide(Request.query("acme", "both", .peek, key: "k\(key)"))
        #expect(decision.remaining == 293)
      }
    }

    @Test("What a clean stop writes is there without the live state, and a kill costs an interval")
    func snapshots() throws {
      let daemon = try TestDaemon {
        $0.policy = Self.policy
        $0.hasLiveState = false
        $0.settings = "  snapshot-interval: 1s"
      }
      #expect(
        try daemon.peer().decide(Request.query("acme", "both", cost: 100, key: "a")).isAllowed)
      #expect(try daemon.stop().code == 0)
      try daemon.start()
      #expect(daemon.hasLogged("goes on with a snapshot"))
      let peer = try daemon.peer()
      #expect(try peer.decide(Request.query("acme", "both", .peek, key: "a")).remaining == 200)
      // Two more intervals have begun after this when two files are newer.
      #expect(try peer.decide(Request.query("acme", "both", cost: 50, key: "a")).isAllowed)
      let paths = ["\(daemon.statePath)/snapshot.1", "\(daemon.statePath)/snapshot.2"]
      let before = paths.map { (try? Data(contentsOf: URL(filePath: $0))) ?? Data() }
      try wait(for: "two snapshots") {
        zip(paths, before).allSatisfy { path, old in
          ((try? Data(contentsOf: URL(filePath: path))) ?? old) != old
        }
      }
      daemon.kill()
      try daemon.start()
      #expect(
        try daemon.peer().decide(Request.query("acme", "both", .peek, key: "a")).remaining == 150)
    }

    @Test("A state directory that is gone stops nobody, is told, and is used when it is back")
    func goneDirectory() throws {
      let daemon = try TestDaemon { $0.settings = "  snapshot-interval: 1s" }
      let peer = try daemon.peer()
      rename(daemon.statePath, daemon.statePath + "-away")
      try wait(for: "the trouble to be told") { daemon.hasLogged("no snapshot") }
      #expect(try daemon.ask("GET", "/metrics").text.contains("\nlimitd_snapshot_trouble 1\n"))
      let status = try run(
        "\(TestDaemon.folder)/limitctl", ["status", "--admin-socket", daemon.adminPath])
      #expect(status.output.contains("failing: cannot make "), "\(status.output)")
      #expect(try peer.decide(Request.query("acme", "few")).isAllowed)
      rename(daemon.statePath + "-away", daemon.statePath)
      try wait(for: "snapshots") { daemon.hasLogged("snapshots are written again") }
      #expect(try daemon.ask("GET", "/metrics").text.contains("\nlimitd_snapshot_trouble 0\n"))
      #expect(try daemon.stop().code == 0)
    }
  }
}
