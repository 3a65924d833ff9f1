// Several tenants and clients at once: what one does changes nothing for another.

import DaemonSupport
import TestSupport
import Testing

extension DaemonTests {
  @Suite struct TenantTests {
    @Test("Clients of one tenant share its buckets to the last unit, and no other tenant's")
    func exactTotals() throws {
      let daemon = try TestDaemon {
        $0.policy = """
          limits: {a: {algorithm: token-bucket, rate: 1/1d, burst: 1000, scope: tenant}}
          policies: {p: [a]}
          tenants: {t0: {}, t1: {}, t2: {}}
          """
      }
      let allowed = Tally(3)
      // Twelve clients, four for each tenant, ask for 600 each of their tenant's 1,000 units.
      let door = daemon.door
      try withBackground(12) { background, number in
        let tenant = number % 3
        let peer = try door.peer()
        try peer.bind(0, "t\(tenant)", "p")
        for _ in 0..<6 {
          try peer.send((0..<100).flatMap { Request.query(id: $0) })
          for id in 0..<100 {
            let reply = try peer.receive()
            guard reply?.id == UInt32(id), let decision = reply?.decision else { return }
            allowed.add(decision.isAllowed ? 1 : 0, to: tenant)
            allowed.addAnswer()
          }
        }
        background.didRound()
      } during: { background in
        try wait(for: "all clients") { background.roundCount == 12 }
      }
      #expect(allowed.answerCount == 12 * 600)
      #expect(allowed.counts == [1000, 1000, 1000])
    }

    @Test("A tenant is decided as the model says while another floods keys")
    func isolationFromNamed() throws {
      let misses = try missesDuringStorm { _, _ in "storm" }
      #expect(misses.count == 0, "\(misses.first ?? "")")
    }

    @Test("A tenant is decided as the model says while others invent tenants")
    func isolationFromInvented() throws {
      let misses = try missesDuringStorm { "invented-\($0)-\($1)" }
      #expect(misses.count == 0, "\(misses.first ?? "")")
    }

    /// Has tenant `acme` decided at random while storms fill the tables.
    ///
    /// - Parameter tenant: whom a storm asks for, by its number and round.
    /// - Returns: the decisions that a model would not have made.
    func missesDuringStorm(
      by tenant: @escaping @Sendable (Int, Int) -> String
    ) throws -> [String] {
      let daemon = try TestDaemon {
        $0.settings = "  table: {key-slots: 4096, tenant-slots: 1024, tenants: 64}"
        $0.flags = ["--trace-clock"]
        $0.policy = """
          limits:
            burst: {algorithm: token-bucket, rate: 10/s, burst: 20, scope: key}
            slow: {algorithm: token-bucket, rate: 1/1d, burst: 1000, scope: key}
          policies: {victim: [burst], storm: [slow]}
          tenants: {"*": {}, acme: {}, storm: {}}
          """
      }
      // Far from the clock, so that nothing here is dead by it.
      let start: UInt64 = 1_700_000_000_000_000_000
      let door = daemon.door
      return try withBackground(3) { background, number in
        let peer = try door.peer()
        _ = try peer.ask(Request.setClock(nanoseconds: start))
        var round = 0
        while !background.isOver {
          let name = tenant(number, round)
          for key in 0..<100 {
            try peer.send(Request.query(name, "storm", key: "\(number)-\(round)-\(key)"))
          }
          for _ in 0..<100 { _ = try peer.receive() }
          round += 1
          background.didRound()
        }
      } during: { background in
        // The tables are full by then.
        try wait(for: "the storms") { background.roundCount > 200 }
        defer { #expect(background.failureCount == 0) }
        return try misses(at: daemon.peer(), from: start)
      }
    }

    private func misses(at peer: Peer, from start: UInt64) throws -> [String] {
      var random = SeededGenerator(seed: testSeed)
      try peer.bind(0, "acme", "victim")
      var models: [String: BucketModel] = [:]
      var misses: [String] = []
      var now = start
      for step in 0..<5000 {
        now += UInt64.random(in: 0...40_000_000, using: &random)
        let key = "user-\(Int.random(in: 0..<8, using: &random))"
        let cost = UInt64.random(in: 1...4, using: &random)
        _ = try peer.ask(Request.setClock(nanoseconds: now))
        let decision = try peer.decide(Request.query(cost: cost, key: key))
        let expected = models[key, default: BucketModel()].decide(cost: cost, at: now)
        let actual = BucketModel.Answer(
          isAllowed: decision.isAllowed, remaining: decision.remaining,
          retryAfter: decision.retryAfter)
        if actual != expected || decision.flags != 0 {
          misses.append("step \(step), seed \(testSeed): \(decision), expected \(expected)")
        }
      }
      return misses
    }

    @Test("A blocked tenant is denied, an unlimited one is not, and no wait helps the blocked")
    func standings() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      for round in 0..<10 {
        let free = try peer.decide(Request.query("free", "few"))
        // Its limits count, and do not deny: a flag says so once one would have.
        #expect(free.isAllowed && free.flags & 2 == (round < 5 ? 0 : 2))
        let banned = try peer.decide(Request.query("banned", "few"))
        #expect(banned.outcome == ReplyDecision.deny && banned.reason == 1)
        #expect(banned.retryAfter == .max)
      }
    }

    @Test("What a user may do for one tenant it may not do for another", .needsRoot)
    func access() throws {
      let daemon = try TestDaemon {
        $0.settings = """
            socket: {path: unused, mode: 0666}
            access:
              - {user: 4001, roles: [query], tenants: [acme]}
              - {user: 4002, roles: [settle]}
          """
      }
      let one = try daemon.peer(user: 4001)
      #expect(try one.decide(Request.query("acme", "few")).isAllowed)
      #expect(try one.ask(Request.query("free", "few")).errorCode == 8)
      #expect(try one.ask(Request.bind(0, "free", "few")).errorCode == 8)
      let two = try daemon.peer(user: 4002)
      #expect(try two.ask(Request.query("acme", "few")).errorCode == 8)
      let nobody = try daemon.peer(user: 4003)
      #expect(try nobody.ask(Request.query("acme", "few")).errorCode == 8)
      #expect(try nobody.ask(Request.bind(0, "acme", "few")).errorCode == 8)
    }
  }
}

/// A token bucket of 20 units, one back each 100 ms, as the definition has it: whole numbers of
/// nanoseconds, full at first.
struct BucketModel {
  struct Answer: Equatable {
    var isAllowed: Bool
    var remaining: UInt64
    var retryAfter: UInt64
  }

  private static let interval: UInt64 = 100_000_000
  private static let full = 20 * interval
  /// What is in the bucket, in nanoseconds of coming back.
  private var content = full
  private var asOf: UInt64 = 0

  mutating func decide(cost: UInt64, at now: UInt64) -> Answer {
    if asOf != 0 { content = min(Self.full, content + (now - asOf)) }
    asOf = now
    let needed = cost * Self.interval
    guard content >= needed else {
      return Answer(
        isAllowed: false, remaining: content / Self.interval, retryAfter: needed - content)
    }
    content -= needed
    return Answer(isAllowed: true, remaining: content / Self.interval, retryAfter: 0)
  }
}
