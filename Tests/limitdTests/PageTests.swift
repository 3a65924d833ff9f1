// What docs/PROTOCOL.md promises a client written from it alone, asked of the real daemon.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct PageTests {
    @Test("Who shuts down its writing side gets the replies to every whole frame, then the end")
    func halfClose() throws {
      let daemon = try TestDaemon()
      // Often, since the end may be noticed with the last bytes, or after them.
      for round in 0..<500 {
        let rest = round % 2 == 0 ? [] : Array(Request.ping().prefix(5))
        let count: UInt32 = round % 3 == 0 ? 300 : 1
        let peer = try daemon.peer()
        try peer.send((0..<count).flatMap { Request.query("acme", "many", id: $0) } + rest)
        peer.finishSending()
        let ids = try peer.receiveToEnd().map(\.id)
        #expect(ids == Array(0..<count))
      }
    }

    @Test("The error behind which the daemon closes can be read though a write has failed")
    func errorBehindFailedWrite() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      try peer.send(Request.frame(0x02, id: 5, length: 3))
      try wait(for: "writes to fail") {
        do {
          return try peer.sendSome(Request.ping()) < 0
        } catch let failure as SystemFailure {
          return failure.number == EPIPE
        }
      }
      let replies = try peer.receiveToEnd()
      #expect(replies.map(\.errorCode) == [1] && replies[0].id == 5)
    }

    @Test(
      "A tenant's name has neither white space nor control characters, and is UTF-8",
      arguments: ["a b", "a\tb", "a\nb", "a\u{0}b", "a\u{7F}", "a\u{85}b", "\u{A0}", "\u{2028}"])
    func names(_ name: String) throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      #expect(try peer.ask(Request.query(name, "few")).errorCode == 1)
      #expect(try peer.ask(Request.bind(0, name, "few")).errorCode == 1)
      // No UTF-8: a byte of the name is damaged.
      var damaged = Request.query("xy", "few")
      damaged[16] = 0xFF
      #expect(try peer.ask(damaged).errorCode == 1)
      #expect(try peer.decide(Request.query("schön-東京", "few")).isAllowed)
    }

    @Test("A client's name cannot make lines of the log")
    func helloName() throws {
      let daemon = try TestDaemon { $0.settings = "  log-level: trace" }
      let name = "x\n2000-01-01T00:00:00.000Z critical: owned\u{1B}[2J\r\u{0}"
      let peer = try daemon.door.silentPeer()
      #expect(try peer.ask(Request.hello(name: name)).operation == 0x81)
      // Something that may be logged with the name.
      try peer.send(Request.frame(0x02, length: 3))
      _ = try peer.receiveToEnd()
      #expect(try daemon.stop().code == 0)
      let log = daemon.log
      #expect(!log.split(separator: "\n").contains { $0.hasPrefix("2000-01-01") })
      #expect(!log.contains("\u{1B}") && !log.contains("\u{0}"))
    }

    @Test(
      "No wait is known to help where the tenant is blocked, the cost too large, or all is held")
    func noWait() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      let never = try peer.decide(Request.query("acme", "few", cost: 6))
      #expect(never.outcome == 2 && never.retryAfter == .max)
      #expect(try peer.decide(Request.query("banned", "few")).retryAfter == .max)
      for _ in 0..<2 { _ = try peer.ask(Request.query("acme", "held", .acquire)) }
      let full = try peer.decide(Request.query("acme", "held", .acquire))
      #expect(full.outcome == 1 && full.retryAfter == .max)
      for _ in 0..<5 { _ = try peer.decide(Request.query("acme", "few")) }
      let later = try peer.decide(Request.query("acme", "few"))
      #expect(later.outcome == 1 && (1..<UInt64.max).contains(later.retryAfter))
    }
  }
}
