// How many connections there may be, and who gets them: the kernel's bounds and the daemon's own.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct ConnectionTests {
    /// The settings of a daemon that every user reaches.
    private func settings(_ limits: String) -> String {
      "  socket: {path: unused, mode: 0666}\n  limits: {\(limits)}"
    }

    /// Connects until the daemon refuses.
    ///
    /// - Returns: the connections that were let in.
    private func fill(_ door: Door, user: UInt32?, upTo count: Int) throws -> [Peer] {
      var peers: [Peer] = []
      for _ in 0..<count {
        let peer = try door.silentPeer(user: user)
        // The refusal may come before the hello is written.
        try? peer.send(Request.hello())
        guard let reply = try peer.receive() else { throw Unanswered() }
        guard reply.operation == 0x81 else {
          #expect(reply.errorCode == 12 && reply.id == 0)
          #expect(try peer.receive() == nil)
          break
        }
        peers.append(peer)
      }
      return peers
    }

    @Test("A user has as many connections as the limit says, others have theirs", .needsRoot)
    func perUser() throws {
      let daemon = try TestDaemon {
        $0.settings = settings("connections: 100, connections-per-uid: 10")
      }
      let first = try fill(daemon.door, user: 4001, upTo: 20)
      let second = try fill(daemon.door, user: 4002, upTo: 20)
      #expect(first.count == 10 && second.count == 10)
      // A place that is given back is there again.
      first[3].close()
      try wait(for: "the place") { try fill(daemon.door, user: 4001, upTo: 1).count == 1 }
      #expect(try second[9].ask(Request.ping()).operation == 0x82)
    }

    /// The loop looks amid a batch whether another user has come, and goes on or leaves him a turn.
    @Test("Batches are answered whole and in order while another user asks, and goes", .needsRoot)
    func turnsAmidBatches() throws {
      let daemon = try TestDaemon {
        $0.settings = settings("connections: 40")
        $0.flags = ["--workers", "1"]
      }
      let (batches, items) = (150, 1000)
      let peer = try daemon.peer()
      try peer.bind(0, "acme", "many")
      let batch = Array(repeating: Request.Item(), count: items)
      let stream = (0..<UInt32(batches)).flatMap {
        Request.batch(batch, id: 2 * $0) + Request.ping(id: 2 * $0 + 1)
      }
      let (descriptor, path) = (peer.descriptor, daemon.socketPath)
      try withBackground(2) { background, number in
        guard number == 1 else { return try Peer.send(stream, to: descriptor) }
        while !background.isOver {
          let other = try Peer(path, user: Host.otherUser)
          try other.greet()
          for _ in 0..<20 {
            let isAllowed = try other.decide(Request.query("free", "many")).isAllowed
            guard isAllowed else { throw Unanswered() }
            background.didRound()
          }
          // Leaves something behind that nobody reads the answer to.
          try other.send(Request.query("free", "many"))
        }
      } during: { background in
        try wait(for: "the other user") { background.roundCount > 0 }
        var left: UInt64 = 10_000_000_000
        for number in 0..<UInt32(batches) {
          let reply = try #require(try peer.receive())
          #expect(reply.id == 2 * number && reply.items.count == items)
          for decision in reply.items {
            left -= 1
            guard decision.isAllowed, decision.remaining == left else {
              Issue.record("\(decision), not \(left)")
              return
            }
          }
          let pong = try #require(try peer.receive())
          #expect(pong.id == 2 * number + 1 && pong.operation == 0x82)
        }
        #expect(background.failureCount == 0)
      }
    }

    @Test("Users who take all connections leave some to root", .needsRoot)
    func setAside() throws {
      let daemon = try TestDaemon {
        $0.settings = settings("connections: 40, connections-per-uid: 20")
      }
      var peers: [Peer] = []
      for user: UInt32 in 4001...4004 { peers += try fill(daemon.door, user: user, upTo: 30) }
      #expect((20...40).contains(peers.count))
      let root = try daemon.peer()
      #expect(try root.decide(Request.query("acme", "few")).isAllowed)
      // Not even all at once, and again and again.
      for _ in 0..<100 { _ = try? daemon.door.silentPeer(user: 4001) }
      #expect(try daemon.peer().ask(Request.ping()).operation == 0x82)
    }

    @Test("The daemon's own user has connections set aside, as root does", .needsRoot)
    func ownUser() throws {
      let daemon = try TestDaemon {
        $0.user = 4000
        $0.settings = settings("connections: 40, connections-per-uid: 40")
      }
      let peers = try fill(daemon.door, user: 4001, upTo: 60)
      #expect((20..<40).contains(peers.count))
      #expect(try daemon.peer(user: 4000).ask(Request.ping()).operation == 0x82)
      #expect(try daemon.peer().ask(Request.ping()).operation == 0x82)
    }

    @Test("A soft limit of 1,024 descriptors is raised, and one user's flood leaves root its turn")
    func softDescriptorLimit() throws {
      Host.raiseDescriptorLimit()
      let daemon = try TestDaemon {
        $0.settings = settings("connections: 4000, connections-per-uid: 2000")
        $0.descriptorsSoft = 1024
        $0.descriptorsHard = 8192
      }
      #expect(daemon.descriptorLimit == 8192)
      let user = Host.isRoot ? 4001 : nil as UInt32?
      let peers = try fill(daemon.door, user: user, upTo: 1900)
      #expect(peers.count == 1900)
      #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
    }

    @Test("Where descriptors are fewer than connections, reloads and error 12 still have theirs")
    func fewDescriptors() throws {
      Host.raiseDescriptorLimit()
      let daemon = try TestDaemon {
        $0.settings = settings("connections: 4096, connections-per-uid: 4096")
        $0.descriptorsSoft = 400
        $0.descriptorsHard = 400
      }
      #expect(daemon.hasLogged("warning"), "\(daemon.brief)")
      let user = Host.isRoot ? 4001 : nil as UInt32?
      let peers = try fill(daemon.door, user: user, upTo: 500)
      #expect((50..<400).contains(peers.count))
      let before = daemon.log.utf8.count
      // Refusals cost nobody a place, and do not fill the log.
      for _ in 0..<1000 { _ = try? daemon.door.silentPeer(user: user) }
      #expect(daemon.log.utf8.count - before < 20_000)
      if Host.isRoot {
        #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
      }
      // The file can be opened: that user is shut out.
      try daemon.write(
        policy: DaemonOptions.defaultPolicy,
        settings: settings("connections: 4096, connections-per-uid: 4096") + "\n  access: []")
      daemon.signal(SIGHUP)
      try wait(for: "the reload") { daemon.reloadCount > 0 }
      #expect(!daemon.log.contains("not reloaded"), "\(daemon.brief)")
      if Host.isRoot {
        try wait(for: "the new rules") {
          try peers[0].ask(Request.query("acme", "few")).errorCode == 8
        }
      }
      let end = try daemon.stop()
      #expect(end.code == 0)
    }

    @Test("So few descriptors that nobody could be served are told at the start")
    func tooFewDescriptors() throws {
      let daemon = try TestDaemon(starts: false) {
        $0.descriptorsSoft = 24
        $0.descriptorsHard = 24
      }
      try daemon.spawn()
      let end = try daemon.waitForEnd()
      #expect(end.code == 1, "\(daemon.brief)")
      #expect(daemon.hasLogged("24"))
      #expect(!FileManager.default.fileExists(atPath: daemon.socketPath))
    }

    @Test("Connects that vanish, 365,000 of them, cost bounded time and nothing that stays")
    func vanishingConnects() throws {
      Host.raiseDescriptorLimit()
      let daemon = try TestDaemon()
      let count = 365_000
      let peer = try daemon.peer()
      let (memory, descriptors) = (daemon.residentBytes, daemon.descriptorCount)
      let door = daemon.door
      let start = clockSeconds()
      try withBackground(2) { background, _ in
        for round in 0..<count / 2 {
          let vanishing = try door.silentPeer()
          // Some say something first.
          if round % 3 == 0 { try? vanishing.send(Request.hello()) }
          vanishing.close()
          background.didRound()
        }
      } during: { background in
        while background.roundCount < count / 2 * 2 {
          let decision = try peer.decide(Request.query("acme", "many"))
          #expect(decision.isAllowed && background.failureCount == 0)
          guard clockSeconds() - start < 120 else { break }
          usleep(1000)
        }
        #expect(background.roundCount == count / 2 * 2)
      }
      try wait(for: "the last to be forgotten") { daemon.descriptorCount <= descriptors + 1 }
      #expect(daemon.residentBytes - memory < 16 << 20)
      #expect(try daemon.peer().ask(Request.ping()).operation == 0x82)
    }

    @Test("Descriptors passed with data, 10,000 of them, are refused or closed unread")
    func passedDescriptors() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      let descriptors = daemon.descriptorCount
      let ping = Request.ping()
      for round in 0..<40 {
        // A byte of a request with each 250.
        do {
          try peer.passDescriptors(250, byte: ping[round % 8])
        } catch let failure as SystemFailure where failure.number == EPERM {
          try peer.send([ping[round % 8]])
        }
        if round % 8 == 7 { #expect(try peer.receive()?.operation == 0x82) }
      }
      // The daemon's own come and go: snapshots, the catalog.
      #expect(daemon.descriptorCount <= descriptors + 16)
      #expect(try peer.decide(Request.query("acme", "few")).isAllowed)
    }
  }
}
