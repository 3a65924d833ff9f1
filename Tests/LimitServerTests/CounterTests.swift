// In which block a decision is counted: once in all, under whatever name, and where tenants get blocks, names
// and other rules meanwhile.

import DaemonSupport
import LimitEngine
import LimitPolicy
import TestSupport
import Testing

@testable import LimitRuntime
@testable import LimitServer

@Suite struct CounterTests {
  private typealias Claim = CounterRegistry.Claim

  private static let start = Instant(nanoseconds: 1 << 40)

  private static func policy(_ tenants: String = "") -> String {
    """
    limits: {much: {algorithm: token-bucket, rate: 1M/s, burst: 1M, scope: tenant}}
    policies: {much: [much], other: [much]}
    tenants: {"*": {}, acme: {}\(tenants)}
    """
  }

  /// A registry, and one who looks for blocks in it as an event loop does.
  private struct Looked: ~Copyable {
    let rulebook: Rulebook
    var index: CounterIndex

    init(_ registry: CounterRegistry, _ rulebook: Rulebook) {
      self.rulebook = rulebook
      index = CounterIndex(registry, rulebook)
    }

    mutating func block(_ name: String, _ policy: UInt16 = 0) -> UInt16 {
      var name = name
      let tenant = rulebook.policies.tenant(named: name)
      return name.withUTF8 {
        index.number(
          for: tenant, PolicyIndex(policy), in: rulebook.policies, name: UnsafeRawBufferPointer($0))
      }
    }

    func fingerprint(_ name: String) -> Fingerprint {
      rulebook.policies.tenant(named: name).fingerprint
    }
  }

  @Test("Blocks are bounded by what they are given for, and neither claim takes the other's")
  func bounds() throws {
    let names = (0..<Claim.name.blocksMax + 100).map { "t\($0)" }
    let rulebook = try MemoryServer.rulebook(
      Self.policy(names.map { ", \($0): {}" }.joined()))
    let registry = CounterRegistry()
    var early = Looked(registry, rulebook)
    var late = Looked(registry, rulebook)
    let others = early.block("guest")
    for number in 0..<Claim.use.blocksMax + 100 {
      let name = "guest-\(number)"
      registry.promote(early.fingerprint(name), named: name, under: others)
    }
    #expect(registry.count(.use) == Claim.use.blocksMax && registry.count(.name) == 0)
    let blocks = names.map { early.block($0) }
    #expect(registry.count(.name) == Claim.name.blocksMax)
    #expect(Set(blocks).count == Claim.name.blocksMax + 1)
    #expect(blocks.suffix(100).allSatisfy { $0 == others })
    // Who comes late finds each that was given, for a name or for use, and no more.
    let isSame = zip(names, blocks).reversed().allSatisfy { late.block($0.0) == $0.1 }
    #expect(isSame)
    let (first, last) = (late.block("guest-0"), late.block("guest-\(Claim.use.blocksMax - 1)"))
    #expect(registry.block(first).tenant == "guest-0" && registry.block(first).limits == ["much"])
    #expect(registry.block(last).tenant == "guest-\(Claim.use.blocksMax - 1)")
    let beyond = late.block("guest-\(Claim.use.blocksMax)")
    #expect(beyond == others)
    // One that has none for its name may have one for its use.
    #expect(registry.blocks.count == 3 + CounterRegistry.ownedMax)
  }

  @Test("A tenant has one block under a policy, whatever it is given for, and by whom it is found")
  func oneBlock() throws {
    let registry = CounterRegistry()
    var guests = Looked(registry, try MemoryServer.rulebook(Self.policy()))
    var named = Looked(registry, try MemoryServer.rulebook(Self.policy(", school: {}")))
    let others = guests.block("school")
    for _ in 0..<3 {
      registry.promote(guests.fingerprint("school"), named: "school", under: others)
    }
    let (one, again) = (registry.count(.use), guests.index.learn())
    #expect(one == 1 && again)
    let own = guests.block("school")
    let ownNamed = named.block("school")
    #expect(own != others && own == ownNamed)
    let (news, other) = (guests.index.learn(), guests.block("school", 1))
    #expect(!news && other != own && other != others)
    // Neither for what is a tenant's already, nor for what has no policy of its own.
    registry.promote(guests.fingerprint("x"), named: "x", under: own)
    registry.promote(guests.fingerprint("x"), named: "x", under: CounterRegistry.last)
    #expect(registry.count(.use) == 1 && registry.count(.name) == 0)
    // A name's block is kept where the name is lost, by a worker that never met it by it, too.
    let ownOther = named.block("school", 1)
    guests.index.adopt(guests.rulebook)
    let found = guests.block("school", 1)
    #expect(ownOther != other && found == ownOther && registry.count(.name) == 1)
  }

  /// Event loops that share what they decide by, and the one who monitors them.
  private struct House {
    var server: MemoryServer
    let runtime: Runtime
    let monitor: DecisionMonitor

    init(_ policy: String) throws {
      server = try MemoryServer(policy)
      runtime = Runtime(server.engine, server.rulebook)
      monitor = DecisionMonitor(runtime, EventLog { _ in })
    }

    /// A connection on a loop of its own.
    func peer() throws -> MemoryPeer {
      let (worker, _) = runtime.register { _ in }
      var peer = try MemoryPeer(
        server, worker: (worker.counters, worker.samples, runtime.counterRegistry))
      peer.send(Request.hello(), at: start)
      return peer
    }

    /// What was allowed, by tenant; of all others under "".
    var allowed: [String: UInt64] {
      var sums: [String: UInt64] = [:]
      for (block, words) in runtime.counters() where !block.limits.isEmpty {
        sums[block.tenant ?? "", default: 0] +=
          DecisionCounters.decided(place: 0, .allow, in: words)
      }
      return sums.filter { $0.value > 0 }
    }

    /// A look of the monitor's, some seconds on.
    func look(_ second: UInt64) {
      monitor.drain {
        DecisionMonitor.Moment(
          boot: second * 1_000_000_000, wall: second * 1_000_000_000, engine: start)
      }
    }

    func promote(_ name: String) throws {
      let others = runtime.counterRegistry.blocks.firstIndex {
        $0.tenant == nil && $0.policy == "much"
      }
      runtime.counterRegistry.promote(
        server.rulebook.policies.tenant(named: name).fingerprint, named: name,
        under: UInt16(try #require(others)))
    }
  }

  private func ask(_ peer: inout MemoryPeer, _ requests: [[UInt8]]) {
    peer.send(requests.flatMap { $0 }, at: Self.start)
  }

  @Test(
    "A handle that is bound goes over to its tenant's block, and nothing is counted twice or not")
  func goesOver() throws {
    var house = try House(Self.policy())
    var one = try house.peer()
    var two = try house.peer()
    let byHandle = [Request.query(handle: 0)]
    let byName = [Request.query("school", "much")]
    ask(&one, [Request.bind(0, "school", "much")])
    ask(&two, [Request.bind(0, "school", "much"), Request.bind(1, "guest", "much")])
    ask(&one, byHandle + byName)
    ask(&two, byHandle)
    #expect(house.allowed == ["": 3])
    try house.promote("school")
    // In the same round as before: where a loop does not know of it yet.
    ask(&one, byHandle + byName)
    #expect(house.allowed == ["": 5])
    house.look(1)
    // The first group of a round is counted as before; a batch to its end, in groups of 64.
    ask(&one, [Request.batch((0..<300).map { Request.Item(0, key: "\($0)") })])
    #expect(house.allowed == ["": 305])
    ask(&one, byHandle + byName)
    #expect(house.allowed == ["": 305, "school": 2])
    ask(&two, byHandle)
    #expect(house.allowed == ["": 306, "school": 2])
    ask(&two, byHandle + byName + [Request.query(handle: 1)])
    #expect(house.allowed == ["": 307, "school": 4])
    // With a name, and without one again, it is counted where it was; by who comes new, too.
    for tenants in [", school: {}", ""] {
      let rulebook = try MemoryServer.rulebook(Self.policy(tenants))
      house.server.rulebook = rulebook
      one.adopt(rulebook)
      two.adopt(rulebook)
      let before = try #require(house.allowed["school"])
      ask(&one, byHandle + byName)
      ask(&two, byHandle + byName)
      var three = try house.peer()
      ask(&three, [Request.bind(3, "school", "much"), Request.query(handle: 3)] + byName)
      #expect(house.allowed == ["": 307, "school": before + 6], "\(tenants)")
    }
  }

  @Test(
    "Who is used all the time is counted by itself; who is unknown, and names used once, never are")
  func monitored() throws {
    for (isOpen, known) in [(true, ["": 0, "acme": 0, "school": 0]), (false, ["": 0, "acme": 0])]
      as [(Bool, [String: Int])]
    {
      let house = try House(
        isOpen ? Self.policy() : Self.policy().replacing("\"*\": {}, ", with: ""))
      var peer = try house.peer()
      ask(&peer, [Request.bind(0, "acme", "much")])
      for second in 10..<40 as Range<UInt64> {
        for round in 0..<5 {
          ask(
            &peer,
            [Request.query(handle: 0), Request.query("school", "much")]
              + (0..<20).map { Request.query("\(second)-\(round)-\($0)", "much") })
          house.look(second)
        }
      }
      let blocks = house.runtime.counterRegistry.blocks
      #expect(Set(blocks.map { $0.tenant ?? "" }) == Set(known.keys), "\(isOpen)")
      #expect(house.runtime.counterRegistry.count(.use) == (isOpen ? 1 : 0))
      let allowed = house.allowed
      #expect(allowed["acme"] == 150)
      if isOpen {
        // Due in the fourth second, and counted there one group later.
        #expect(allowed["school"] == 150 - 17 && allowed[""] == 30 * 100 + 17)
      }
    }
  }
}

extension RealThreads {
  @Suite struct CounterThreadTests {
    @Test("Blocks given while loops decide lose no count and make none go back")
    func given() throws {
      let server = try MemoryServer(
        """
        limits: {much: {algorithm: token-bucket, rate: 1M/s, burst: 1M, scope: key}}
        policies: {much: [much]}
        tenants: {"*": {}, acme: {}}
        """, tenantsMax: 1024)
      let runtime = Runtime(server.engine, server.rulebook)
      let registry = runtime.counterRegistry
      let names = (0..<200).map { "school-\($0)" }
      let asked = Tally()
      func allowed() -> [UInt64] {
        runtime.counters().map {
          $0.block.limits.isEmpty
            ? 0 : DecisionCounters.decided(place: 0, .allow, in: $0.words)
        }
      }
      try withBackground(3) { background, number in
        var random = SeededGenerator(seed: testSeed &+ UInt64(number))
        let (worker, _) = runtime.register { _ in }
        var peer = try MemoryPeer(server, worker: (worker.counters, worker.samples, registry))
        let now = Instant(nanoseconds: 1 << 40)
        peer.send(
          names.enumerated().reduce(Request.hello()) {
            $0 + Request.bind(UInt16($1.offset), $1.element, "much")
          }, at: now)
        while !background.isOver {
          let items = (0..<100).map { _ in Request.Item(UInt16.random(in: 0..<200, using: &random))
          }
          let byName = names.randomElement(using: &random)!
          peer.send(
            Request.batch(items) + Request.query(byName, "much") + Request.query("acme", "much"),
            at: now)
          asked.add(102)
          _ = peer.takeReplies()
          background.didRound()
        }
      } during: { background in
        try wait(for: "all loops") { background.roundCount > 10 }
        let others = UInt16(
          try #require(registry.blocks.firstIndex { $0.tenant == nil && $0.policy == "much" }))
        var last: [UInt64] = []
        for name in names {
          let rounds = background.roundCount
          try wait(for: "a round") { background.roundCount > rounds + 3 }
          registry.promote(
            server.rulebook.policies.tenant(named: name).fingerprint, named: name, under: others)
          for ring in runtime.sampleRings { ring.drain { _, _, _ in } }
          let now = allowed()
          #expect(zip(last, now).allSatisfy { $0 <= $1 })
          last = now
        }
      }
      #expect(registry.count(.use) == 200 && registry.count(.name) == 1)
      let sums = allowed()
      #expect(sums.reduce(0, +) == UInt64(asked.counts[0]))
      // All loops have learnt of those that were given early.
      #expect(sums.dropFirst(3).prefix(100).allSatisfy { $0 > 0 }, "seed \(testSeed)")
    }
  }
}
