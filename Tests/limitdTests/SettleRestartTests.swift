// Receipts that are older than the daemon: settled after a clean stop and start, and after a kill.

import DaemonSupport
import Testing

extension DaemonTests {
  @Suite struct SettleRestartTests {
    /// So slow that nothing comes back in a test.
    private static func policy(both: String = "[window, bucket]") -> String {
      """
      limits:
        bucket: {algorithm: token-bucket, rate: 1/1d, burst: 300, scope: key}
        window: {algorithm: sliding-window, limit: 300, window: 31d, scope: key}
      policies: {bucket: [bucket], window: [window], both: \(both)}
      tenants: {"*": {}, acme: {}}
      """
    }

    private func end(_ daemon: TestDaemon, byKill: Bool) throws {
      if byKill {
        daemon.kill()
      } else {
        #expect(try daemon.stop().code == 0)
      }
    }

    /// Corrects a decision of 100 units on both limits.
    ///
    /// - Returns: the code of the error, if there was one.
    private func settle(_ peer: Peer, _ receipt: [UInt8], to actual: UInt64) throws -> UInt16? {
      try peer.ask(
        Request.settle("acme", "both", cost: 100, actual: actual, receipt: receipt)
      ).errorCode
    }

    private func expectLeft(_ peer: Peer, _ left: UInt64, _ what: String) throws {
      for policy in ["bucket", "window"] {
        let decision = try peer.decide(Request.query("acme", policy, .peek))
        #expect(decision.remaining == left, "\(policy), \(what)")
      }
    }

    @Test(
      "A receipt is good after a stop, a kill, and from a snapshot: once, twice, never above full",
      arguments: [(true, false), (true, true), (false, false)])
    func olderThanTheDaemon(hasLiveState: Bool, isKilled: Bool) throws {
      let daemon = try TestDaemon {
        $0.policy = Self.policy()
        $0.hasLiveState = hasLiveState
      }
      let before = try daemon.peer()
      let receipts = try (0..<3).map { _ in
        try before.decide(Request.query("acme", "both", cost: 100)).receipt
      }
      try expectLeft(before, 0, "all is used")
      try end(daemon, byKill: isKilled)
      try daemon.start()
      var peer = try daemon.peer()
      // Less, nothing, and more than was taken.
      let corrections: [(actual: UInt64, left: UInt64)] = [(30, 70), (0, 170), (150, 120)]
      for (receipt, correction) in zip(receipts, corrections) {
        #expect(try settle(peer, receipt, to: correction.actual) == nil)
        try expectLeft(peer, correction.left, "settled to \(correction.actual)")
      }
      try end(daemon, byKill: isKilled)
      try daemon.start()
      peer = try daemon.peer()
      try expectLeft(peer, 120, "settled, and started again")
      for place in receipts[0].indices {
        var altered = receipts[0]
        altered[place] ^= 1
        #expect(try settle(peer, altered, to: 0) == 11, "byte \(place)")
      }
      try expectLeft(peer, 120, "altered")
      // Sent again it corrects again, up to full.
      for (receipt, left) in zip(receipts, [220, 300, 300] as [UInt64]) {
        #expect(try settle(peer, receipt, to: 0) == nil)
        try expectLeft(peer, left, "settled twice")
      }
      #expect(try peer.decide(Request.query("acme", "both", cost: 300)).isAllowed)
      #expect(try peer.decide(Request.query("acme", "both")).outcome == ReplyDecision.deny)
    }

    @Test("After a start with another list of limits a receipt is stale, with the former one good")
    func otherLimits() throws {
      let daemon = try TestDaemon { $0.policy = Self.policy() }
      let receipt = try daemon.peer().decide(Request.query("acme", "both", cost: 100)).receipt
      daemon.kill()
      try daemon.write(policy: Self.policy(both: "[bucket, window]"))
      try daemon.start()
      let other = try daemon.peer()
      #expect(try settle(other, receipt, to: 0) == 11)
      try expectLeft(other, 200, "stale")
      #expect(try daemon.stop().code == 0)
      try daemon.write(policy: Self.policy())
      try daemon.start()
      let peer = try daemon.peer()
      #expect(try settle(peer, receipt, to: 0) == nil)
      try expectLeft(peer, 300, "settled")
    }
  }
}
