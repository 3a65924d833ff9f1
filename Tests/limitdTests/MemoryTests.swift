// What all peers together can make the daemon hold is bounded, and it goes back to the system.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct MemoryTests {
    private static let megabyte = 1 << 20
    /// What a daemon may hold beyond what the settings bound: allocator's pages, the loops' own.
    private static let slackBytes = 40 * megabyte

    /// 1,000 connections with as much as they can get, of one user or of two.
    private func growth(
      _ limits: String, _ fill: (Peer) throws -> Void
    ) throws -> (held: Int, kept: Int) {
      Host.raiseDescriptorLimit()
      let daemon = try TestDaemon {
        $0.settings = """
            socket: {path: unused, mode: 0666}
            limits: {connections: 2000, connections-per-uid: 1500, stall-timeout: 10m, \(limits)}
          """
      }
      // A first client, so that what the daemon allocates once is there.
      for _ in 0..<20 { _ = try daemon.peer().decide(Request.query("acme", "many")) }
      let before = daemon.residentBytes
      var peers: [Peer] = []
      for number in 0..<1000 {
        let user: UInt32? = Host.isRoot ? (number % 2 == 0 ? 4001 : 4002) : nil
        guard let peer = try? daemon.peer(user: user) else { continue }
        // Whoever asks for too much is refused or closed.
        try? fill(peer)
        peers.append(peer)
      }
      let held = daemon.residentBytes - before
      #expect(try daemon.peer().decide(Request.query("acme", "many")).isAllowed)
      for peer in peers { peer.close() }
      try wait(for: "the connections to be closed") { daemon.descriptorCount < 100 }
      try wait(for: "memory to go back", seconds: 15) {
        daemon.residentBytes - before < Self.slackBytes
      }
      return (held, daemon.residentBytes - before)
    }

    @Test("1,000 connections that never read hold no more than memory-bytes, and give it back")
    func unreadReplies() throws {
      let requests = (0..<200).flatMap { Request.query("acme", "many", id: $0) }
      let batch = Request.batch(Array(repeating: Request.Item(), count: 1000))
      let growth = try growth("memory-bytes: 60M, memory-bytes-per-uid: 40M") { peer in
        try peer.bind(0, "acme", "many")
        for _ in 0..<20 where try peer.sendSome(requests) == 0 { break }
        for _ in 0..<20 where try peer.sendSome(batch) == 0 { break }
      }
      #expect(growth.held < 60_000_000 + Self.slackBytes, "held \(growth.held)")
    }

    @Test("1,024 handles of long names on 1,000 connections are bounded, and given back")
    func longNames() throws {
      let name = String(repeating: "n", count: 250)
      let growth = try growth("memory-bytes: 60M, memory-bytes-per-uid: 40M") { peer in
        var requests: [UInt8] = []
        for handle: UInt16 in 0..<1024 {
          requests += Request.bind(handle, "\(handle)\(name)", "many")
        }
        try peer.send(requests)
        for _ in 0..<1024 { _ = try peer.receive() }
      }
      #expect(growth.held < 60_000_000 + Self.slackBytes, "held \(growth.held)")
    }

    @Test("Beginnings of large frames are bounded, and given back")
    func partialFrames() throws {
      let part = Array(
        Request.frame(0x09, Array(repeating: 0, count: 900_000)).prefix(890_000))
      let limits =
        "frame-bytes: 1M, frame-timeout: 1m, memory-bytes: 60M, memory-bytes-per-uid: 40M"
      let growth = try growth(limits) { peer in
        // What the daemon does not take after some tries it does not take.
        var sent = 0
        for _ in 0..<50 where sent < part.count {
          let count = try peer.sendSome(Array(part[sent...]))
          if count == 0 { usleep(200) }
          sent += count
        }
      }
      #expect(growth.held < 60_000_000 + Self.slackBytes, "held \(growth.held)")
    }

    @Test("One user's memory leaves another its own", .needsRoot)
    func perUser() throws {
      let daemon = try TestDaemon {
        $0.settings = """
            socket: {path: unused, mode: 0666}
            limits: {memory-bytes: 4M, memory-bytes-per-uid: 1M}
          """
      }
      let name = String(repeating: "n", count: 250)
      var refused = 0
      var peers: [Peer] = []
      for _ in 0..<10 {
        guard let peer = try? daemon.peer(user: 4001) else { break }
        peers.append(peer)
        for handle: UInt16 in 0..<1000 {
          let reply = try peer.ask(Request.bind(handle, "\(handle)\(name)", "many"))
          if reply.errorCode == 12 { refused += 1 }
        }
      }
      #expect(refused > 0)
      let other = try daemon.peer(user: 4002)
      for handle: UInt16 in 0..<1000 { try other.bind(handle, "\(handle)\(name)", "many") }
      #expect(try other.decide(Request.query(handle: 999)).isAllowed)
      // What one gives back it may have again.
      peers.removeAll()
      try wait(for: "its memory") {
        guard let peer = try? daemon.peer(user: 4001) else { return false }
        return try (UInt16(0)..<100).allSatisfy {
          try peer.ask(Request.bind($0, "\($0)\(name)", "many")).operation == 0x83
        }
      }
    }
  }
}
