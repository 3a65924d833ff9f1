// A policy file that changes while the daemon is down, or is killed as it changes: units stay units. And
// a bad file at the start, with the last good one kept.

import DaemonSupport
import Foundation
import Glibc
import TestSupport
import Testing

extension DaemonTests {
  @Suite struct RulesRestartTests {
    /// So slow that nothing comes back in a test.
    private static func policy(_ scale: Int, days: Int, _ more: String = "") -> String {
      """
      limits:
        bucket: {algorithm: token-bucket, rate: 1/\(days)d, burst: \(100 * scale), scope: key}
        window: {algorithm: sliding-window, limit: \(100 * scale), window: \(days)d, scope: key}
        whole: {algorithm: token-bucket, rate: 1/\(days)d, burst: \(100 * scale), scope: tenant}
      \(more)
      policies: {bucket: [bucket], window: [window], whole: [whole], all: [bucket, window, whole]}
      tenants: {"*": {}, acme: {}}
      """
    }

    private func expectLeft(_ daemon: TestDaemon, _ left: UInt64, key: String = "k", _ what: String)
      throws
    {
      let peer = try daemon.peer()
      for policy in ["bucket", "window", "whole"] {
        let decision = try peer.decide(Request.query("acme", policy, .peek, key: key))
        #expect(decision.remaining == left, "\(policy), \(what): \(daemon.brief)")
      }
    }

    @Test(
      "Another file at the next start keeps units: after a kill, a stop, from a snapshot",
      arguments: [(true, true), (true, false), (false, false)])
    func changedFile(hasLiveState: Bool, isKilled: Bool) throws {
      let daemon = try TestDaemon {
        $0.policy = Self.policy(
          1, days: 1, "  gone: {algorithm: token-bucket, rate: 1/1d, burst: 9, scope: key}"
        )
        .replacing("policies: {", with: "policies: {gone: [gone], ")
        $0.hasLiveState = hasLiveState
      }
      #expect(try daemon.peer().decide(Request.query("acme", "all", cost: 30)).remaining == 70)
      #expect(try daemon.peer().decide(Request.query("acme", "gone", cost: 3)).remaining == 6)
      for (scale, days, left) in [(9, 3, 870), (1, 2, 70), (2, 9, 170)] {
        if isKilled {
          daemon.kill()
        } else {
          #expect(try daemon.stop().code == 0)
        }
        try daemon.write(policy: Self.policy(scale, days: days))
        try daemon.start()
        try expectLeft(daemon, UInt64(left), "×\(scale)")
      }
      #expect(daemon.hasLogged("rules have changed since"))
      #expect(
        daemon.hasLogged("buckets of limits that the file does not have any more have ended"))
      // A reload, and then a start with the same file.
      try daemon.reload(policy: Self.policy(5, days: 7))
      try expectLeft(daemon, 470, "reloaded")
      daemon.kill()
      if !hasLiveState { return }
      try daemon.start()
      try expectLeft(daemon, 470, "started again")
    }

    @Test("A daemon that is killed amid a reload, at any moment, loses and misreads nothing")
    func killedAmidReload() throws {
      var random = SeededGenerator(seed: testSeed)
      let daemon = try TestDaemon {
        $0.policy = Self.policy(1, days: 1)
        $0.settings = "  table: {key-slots: 256k}"
      }
      let peer = try daemon.peer()
      var used: UInt64 = 10
      #expect(try peer.decide(Request.query("acme", "all", cost: used)).isAllowed)
      for number in 0..<60 as Range<UInt64> {
        // The one in force may be either of two, and the start is given a third now and then.
        let scale = Int.random(in: 1...9, using: &random)
        try daemon.write(policy: Self.policy(scale, days: 1 + Int(number % 7)))
        daemon.signal(SIGHUP)
        usleep(UInt32.random(in: 0...25_000, using: &random))
        daemon.kill()
        var last = scale
        if random.chance(1, in: 2) {
          last = Int.random(in: 1...9, using: &random)
          try daemon.write(policy: Self.policy(last, days: 7))
        }
        try daemon.start()
        let what = "kill \(number), seed \(testSeed)"
        try expectLeft(daemon, UInt64(100 * last) - used, what)
        guard used < 90 else { continue }
        used += 1
        #expect(try daemon.peer().decide(Request.query("acme", "all")).isAllowed, "\(what)")
      }
      #expect(!daemon.log.contains("are not known"))
      #expect(!daemon.log.contains("live state is not used"))
    }

    // MARK: --fall-back

    @Test("With --fall-back a bad file is said to be bad, and the last good one is in force")
    func fallsBack() throws {
      let daemon = try TestDaemon {
        $0.policy = Self.policy(1, days: 1)
        $0.flags = ["--fall-back"]
      }
      #expect(try daemon.peer().decide(Request.query("acme", "all", cost: 30)).remaining == 70)
      try daemon.reload(policy: Self.policy(3, days: 1))
      try daemon.reload(policy: "limits: [")
      daemon.kill()
      try daemon.start()
      #expect(daemon.hasLogged("the last good one is in force"))
      try expectLeft(daemon, 270, "fell back")
      // A bad file again changes nothing, a good one is taken.
      try daemon.reload(policy: "limits: {")
      try expectLeft(daemon, 270, "still bad")
      try daemon.reload(policy: Self.policy(4, days: 2))
      try expectLeft(daemon, 370, "good")
      // A user that this host does not have is as bad.
      daemon.kill()
      try daemon.write(
        policy: Self.policy(7, days: 2),
        settings: "  access: [{user: nobody-of-that-name, roles: [query]}]")
      try daemon.start()
      try expectLeft(daemon, 370, "unknown user")
    }

    @Test("Without the flag, and where no file is kept, a bad file ends the start with 78")
    func refuses() throws {
      let daemon = try TestDaemon { $0.policy = Self.policy(1, days: 1) }
      #expect(try daemon.stop().code == 0)
      try daemon.write(policy: "limits: [")
      try daemon.spawn()
      #expect(try daemon.waitForEnd().code == 78)
      let fresh = try TestDaemon(starts: false) {
        $0.policy = "limits: ["
        $0.flags = ["--fall-back"]
      }
      try fresh.spawn()
      #expect(try fresh.waitForEnd().code == 78)
      #expect(fresh.log.contains("policy.last"))
    }

    @Test("Kept files are as many as there are states to read by them")
    func pruned() throws {
      let daemon = try TestDaemon {
        $0.policy = Self.policy(1, days: 1)
        $0.settings = "  snapshot-interval: 1s"
      }
      for scale in 2...9 { try daemon.reload(policy: Self.policy(scale, days: 1)) }
      try wait(for: "the others to be removed") {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: daemon.statePath)) ?? []
        return files.filter { $0.hasPrefix("policy.") && $0.utf8.count == 23 }.count == 1
      }
      daemon.kill()
      try daemon.start()
      #expect(!daemon.log.contains("are not known"))
    }

    @Test("A disk that takes no file holds up no reload, and it is told")
    func diskTrouble() throws {
      let daemon = try TestDaemon { $0.policy = Self.policy(1, days: 1) }
      #expect(try daemon.peer().decide(Request.query("acme", "all", cost: 30)).remaining == 70)
      rename(daemon.statePath, daemon.statePath + "-away")
      try daemon.reload(policy: Self.policy(2, days: 1))
      #expect(daemon.hasLogged("not kept for the next start"))
      try expectLeft(daemon, 170, "reloaded")
      daemon.kill()
      // The same file again is known by what it says.
      rename(daemon.statePath + "-away", daemon.statePath)
      try daemon.start()
      try expectLeft(daemon, 170, "started")
      #expect(!daemon.log.contains("are not known"))
    }
  }
}
