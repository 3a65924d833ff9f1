// The end of a daemon that is busy: what it received is answered, and nothing holds it up.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct ShutdownTests {
    /// A daemon ends within 2 s; on a machine that does other things too, within twice that.
    static let endSecondsMax = 4.0

    @Test("Every query that was sent before the end is answered, then the end is said")
    func answersAll() throws {
      let daemon = try TestDaemon()
      let peers = try (0..<20).map { _ in try daemon.peer() }
      for peer in peers {
        try peer.bind(0, "acme", "many")
        try peer.send((1...500).flatMap { Request.query(id: $0) })
      }
      daemon.signal(SIGTERM)
      for peer in peers {
        let replies = try peer.receiveToEnd()
        #expect(replies.dropLast().map(\.id) == Array(1...500))
        #expect(replies.last?.errorCode == 14 && replies.last?.id == 0)
      }
      #expect(try daemon.waitForEnd().code == 0)
    }

    @Test("A peer that reads nothing does not hold up the end")
    func stalledPeers() throws {
      let daemon = try TestDaemon { $0.settings = "  limits: {stall-timeout: 10m}" }
      let peers = try (0..<50).map { _ in try daemon.peer() }
      for peer in peers {
        try peer.bind(0, "acme", "many")
        let requests = (0..<200).flatMap { Request.query(id: $0) }
        for _ in 0..<100 where try peer.sendSome(requests) == 0 { break }
      }
      let end = try daemon.stop()
      #expect(end.code == 0)
      #expect(end.seconds < Self.endSecondsMax, "it took \(end.seconds) s")
    }

    @Test("A second signal during the end changes nothing")
    func twice() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      daemon.signal(SIGTERM)
      daemon.signal(SIGINT)
      daemon.signal(SIGHUP)
      daemon.signal(SIGTERM)
      #expect(try daemon.waitForEnd().code == 0)
      #expect(try peer.receiveToEnd().map(\.errorCode) == [14])
      #expect(!FileManager.default.fileExists(atPath: daemon.socketPath))
    }
  }
}
