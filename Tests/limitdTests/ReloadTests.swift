// New rules while clients ask: every query is answered, and nothing is forgotten.

import DaemonSupport
import Glibc
import Testing

extension DaemonTests {
  @Suite struct ReloadTests {
    /// The default policy with a limit and a tenant more in odd rounds.
    private func policy(_ round: Int) -> String {
      let policy = DaemonOptions.defaultPolicy
      guard round % 2 == 1 else { return policy }
      return policy.replacing(
        "policies:\n",
        with: "  extra: {algorithm: token-bucket, rate: 1/1d, burst: 9, scope: key}\n"
          + "policies:\n  extra: [extra]\n") + "\n  newcomer-\(round): {}"
    }

    @Test("Reloads under load lose no query, and what was used stays used")
    func underLoad() throws {
      let daemon = try TestDaemon()
      let allowed = Tally()
      let door = daemon.door
      try withBackground(4) { background, _ in
        let peer = try door.peer()
        try peer.bind(0, "acme", "many")
        var id: UInt32 = 0
        while !background.isOver {
          // By handle, which a reload looks up anew, and by name.
          for place in id..<id + 50 {
            try peer.send(
              place % 2 == 0
                ? Request.query(id: place) : Request.query("acme", "many", id: place))
          }
          for place in id..<id + 50 {
            guard let reply = try peer.receive(), reply.id == place,
              let decision = reply.decision, decision.isAllowed
            else { throw Unanswered() }
            allowed.add(1)
          }
          id += 50
          background.didRound()
        }
      } during: { background in
        try wait(for: "load") { background.roundCount > 20 }
        for round in 1...20 { try daemon.reload(policy: policy(round)) }
        let rounds = background.roundCount
        try wait(for: "more load") { background.roundCount > rounds + 20 }
        #expect(background.failureCount == 0, "a query was lost, or answered otherwise")
      }
      #expect(!daemon.log.contains("not reloaded"))
      let left = try daemon.peer().decide(Request.query("acme", "many", .peek))
      #expect(left.capacity - left.remaining == UInt64(allowed.counts[0]))
    }

    @Test("A bad file changes nothing; a good one behind it is taken")
    func badFile() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      try peer.bind(0, "acme", "few")
      #expect(try peer.decide(Request.query()).remaining == 4)
      try daemon.reload(policy: "limits: [")
      #expect(daemon.hasLogged("not reloaded"))
      #expect(try peer.decide(Request.query()).remaining == 3)
      try daemon.reload(policy: DaemonOptions.defaultPolicy.replacing("[few]", with: "[many]"))
      #expect(try peer.decide(Request.query()).capacity == 10_000_000_000)
      // A policy that is gone is said to be, and is there again when it comes back.
      try daemon.reload(policy: DaemonOptions.defaultPolicy.replacing("  few: [few]\n", with: ""))
      #expect(try peer.ask(Request.query()).errorCode == 6)
      try daemon.reload(policy: DaemonOptions.defaultPolicy)
      #expect(try peer.decide(Request.query()).remaining == 2)
    }

    @Test("A storm of SIGHUP disturbs nobody, and the last file is in force")
    func storm() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      try peer.bind(0, "acme", "many")
      for round in 0..<2000 {
        daemon.signal(SIGHUP)
        #expect(try peer.decide(Request.query(id: UInt32(round))).isAllowed)
      }
      try daemon.write(policy: DaemonOptions.defaultPolicy.replacing("few", with: "less"))
      daemon.signal(SIGHUP)
      try wait(for: "the last file") {
        try peer.ask(Request.query("acme", "less", .peek)).decision != nil
      }
      // Signals of one kind merge while one waits: no backlog of reloads is left.
      #expect(try daemon.stop().code == 0)
      #expect(daemon.reloadCount <= 2001)
    }
  }
}
