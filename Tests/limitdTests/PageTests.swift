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

    // MARK: The table of errors

    /// What the page says comes after each error: "3 goes on", "5 closes".
    private func promises() throws -> Set<String> {
      let page = try String(
        contentsOf: URL(filePath: #filePath).deletingLastPathComponent()
          .appending(path: "../../docs/PROTOCOL.md"), encoding: .utf8)
      let table = try #require(page.components(separatedBy: "| code | name |").dropFirst().first)
      var promises: Set<String> = []
      for row in table.components(separatedBy: "\n\n")[0].split(separator: "\n") {
        let columns = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        guard let code = UInt16(columns[0]) else { continue }
        for word in ["goes on", "closes"] where columns[3].contains(word) {
          promises.insert("\(code) \(word)")
        }
      }
      return promises
    }

    @Test("Each error of the page comes about, and the connection goes on or closes as it says")
    func errors() throws {
      var kept: Set<String> = []
      let daemon = try TestDaemon {
        $0.policy = $0.policy.replacing("  \"*\": {}\n", with: "")
        $0.settings = """
            socket: {path: unused, mode: 0666}
            limits: {handles: 10, key-bytes: 100, hello-timeout: 300ms}
            access: [{user: 4001, roles: [query]}]
          """
      }
      let noReceipt = [UInt8](repeating: 0, count: 28)
      let settle = Request.settle("acme", "few", cost: 1, actual: 0, receipt: noReceipt)
      for (code, request): (UInt16, [UInt8]) in [
        (1, Request.query("a b", "few")),
        (2, Request.query("acme", "few", key: String(repeating: "k", count: 101))),
        (3, Request.frame(0x33)), (6, Request.query("acme", "no-such")),
        (7, Request.bind(0, "nobody", "few")), (8, settle), (9, Request.query(handle: 5)),
        (10, Request.release(77)), (11, settle), (12, Request.bind(10, "acme", "few")),
      ] where code != 8 || Host.isRoot {
        let peer = try daemon.peer(user: code == 8 ? 4001 : nil)
        #expect(try peer.ask(request).errorCode == code)
        #expect(try peer.ask(Request.ping()).operation == 0x82)
        kept.insert("\(code) goes on")
      }
      let old = try daemon.door.silentPeer()
      #expect(try old.ask(Request.hello(major: 9)).errorCode == 4)
      #expect(try old.ask(Request.hello()).operation == 0x81)
      kept.insert("4 goes on")

      for (code, bytes): (UInt16, [UInt8]) in [
        (1, Request.hello() + Request.frame(0x02, length: 7)),
        (2, Request.hello() + Request.frame(0x02, length: 0xFF_FFFF)),
        (5, Request.ping()), (13, []),
      ] {
        let peer = try daemon.door.silentPeer()
        try peer.send(bytes)
        #expect(try peer.receiveToEnd().compactMap(\.errorCode) == [code])
        kept.insert("\(code) closes")
      }
      let full = try TestDaemon { $0.settings = "  limits: {connections: 1}" }
      var holder: Peer?
      // The connection that saw the daemon start may still count.
      try wait(for: "the only connection") {
        holder = try? full.peer()
        return holder != nil
      }
      #expect(try full.door.silentPeer().receiveToEnd().map(\.errorCode) == [12])
      full.signal(SIGTERM)
      #expect(try holder?.receiveToEnd().map(\.errorCode) == [14])
      kept.formUnion(["12 closes", "14 closes"])
      #expect(try promises() == (Host.isRoot ? kept : kept.union(["8 goes on"])))
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
