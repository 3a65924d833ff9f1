// Every bound of `daemon.limits` on what one connection may ask for, met by a client that tries to
// pass it, while another is served as ever.

import DaemonSupport
import Glibc
import Testing

extension DaemonTests {
  @Suite struct BoundTests {
    /// Small bounds, so that each is soon met.
    func daemon(_ limits: String) throws -> TestDaemon {
      try TestDaemon { $0.settings = "  limits: {\(limits)}" }
    }

    /// That a good client is answered, whatever another does.
    private func expectService(_ daemon: TestDaemon) throws {
      #expect(try daemon.peer().decide(Request.query("acme", "many")).isAllowed)
    }

    // MARK: Frames

    @Test("A frame of the largest size is served, one byte more ends the connection")
    func frameSize() throws {
      let daemon = try daemon("frame-bytes: 1024, key-bytes: 1100")
      let peer = try daemon.peer()
      try peer.bind(0, "acme", "many")
      let largest = String(repeating: "k", count: 1024 - 16)
      #expect(try peer.decide(Request.query(key: largest)).isAllowed)
      try peer.send(Request.query(key: largest + "k", id: 7))
      let replies = try peer.receiveToEnd()
      #expect(replies.map(\.errorCode) == [2] && replies[0].id == 7)
      try expectService(daemon)
    }

    @Test("A length that makes no sense ends the connection, and what came before it is answered")
    func frameLength() throws {
      let daemon = try daemon("frame-bytes: 1024")
      for length in [0, 7, 1025, 0xFF_FFFF] {
        let peer = try daemon.peer()
        try peer.send(Request.ping(id: 1) + Request.frame(0x02, id: 2, length: length))
        let replies = try peer.receiveToEnd()
        #expect(replies.map(\.id) == [1, 2])
        #expect(replies.map(\.errorCode) == [nil, length < 8 ? 1 : 2])
      }
      try expectService(daemon)
    }

    @Test("A first frame that is no hello ends the connection")
    func helloFirst() throws {
      let daemon = try TestDaemon()
      for first in [Request.ping(), Request.query("acme", "few"), Request.frame(0x33)] {
        let peer = try daemon.door.silentPeer()
        try peer.send(first + Request.ping())
        #expect(try peer.receiveToEnd().map(\.errorCode) == [5])
      }
      let other = try daemon.door.silentPeer()
      try other.send(Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
      #expect(try other.receiveToEnd().count <= 1)
    }

    @Test("An operation that nobody knows is answered, and the connection goes on")
    func unknownOperations() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      for operation in UInt8.min...UInt8.max {
        let known: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0x44, 0x45, 0x46, 0x48]
        guard !known.contains(operation) else { continue }
        #expect(try peer.ask(Request.frame(operation, [1, 2, 3])).errorCode == 3)
      }
      #expect(try peer.ask(Request.ping()).operation == 0x82)
    }

    @Test("Versions: a later minor is served, another major is told the newest, and may try again")
    func versions() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.door.silentPeer()
      for major: UInt16 in [0, 2, 999] {
        let refused = try peer.ask(Request.hello(major: major))
        #expect(refused.errorCode == 4)
        #expect(refused.bytes[10...11] == [1, 0])
      }
      let reply = try peer.ask(Request.hello(minor: 999))
      #expect(reply.operation == 0x81)
      #expect(reply.bytes[12..<16] == [1, 0, 0, 0])
      #expect(try peer.ask(Request.hello()).errorCode == 1)
      #expect(try peer.ask(Request.ping()).operation == 0x82)
    }

    // MARK: Time

    @Test("Who says no hello is closed when its time is up, and not before")
    func helloTimeout() throws {
      let daemon = try daemon("hello-timeout: 300ms")
      let start = clockSeconds()
      let silent = try daemon.door.silentPeer()
      let half = try daemon.door.silentPeer()
      try half.send(Array(Request.hello().prefix(9)))
      #expect(try silent.receiveToEnd().map(\.errorCode) == [13])
      #expect(clockSeconds() - start >= 0.3)
      #expect(try half.receiveToEnd().map(\.errorCode) == [13])
      try expectService(daemon)
    }

    @Test("A frame that does not go on ends the connection; one byte now and then is no help")
    func frameTimeout() throws {
      let daemon = try daemon("frame-timeout: 300ms")
      let start = clockSeconds()
      let peer = try daemon.peer()
      let frame = Request.query("acme", "few")
      try peer.send(Array(frame.prefix(5)))
      #expect(try peer.receiveToEnd().map(\.errorCode) == [13])
      #expect(clockSeconds() - start >= 0.3)
      let dribbling = try daemon.peer()
      let long = Request.query("acme", "few", key: String(repeating: "k", count: 1000))
      let ended = try dribble(long, to: dribbling)
      #expect(ended, "a byte at a time must not hold a connection open")
      // Whole frames with pauses between them are no partial frames.
      let slow = try daemon.peer()
      for _ in 0..<3 {
        usleep(200_000)
        #expect(try slow.ask(Request.ping()).operation == 0x82)
      }
    }

    /// Sends a byte each 10 ms.
    ///
    /// - Returns: whether the daemon ended the connection.
    private func dribble(_ frame: [UInt8], to peer: Peer) throws -> Bool {
      for byte in frame {
        do {
          try peer.send([byte])
        } catch {
          return try peer.receiveToEnd().map(\.errorCode) == [13]
        }
        usleep(10_000)
      }
      return false
    }

    @Test("Who reads none of its replies is closed; who goes on reading gets every one")
    func stall() throws {
      let daemon = try daemon("stall-timeout: 1500ms")
      let stalled = try daemon.peer()
      let late = try daemon.peer()
      let requests = (0..<100).flatMap { Request.query("acme", "many", id: $0) }
      for peer in [stalled, late] {
        // Until neither side's buffers take any more.
        try wait(for: "the buffers to fill") { try peer.sendSome(requests) == 0 }
      }
      // One reads on before its time is up, and goes on, with pauses.
      var next: UInt32 = 0
      for _ in 0..<400 {
        guard let reply = try late.receive() else { break }
        #expect(reply.id == next % 100)
        next += 1
        if next % 20 == 0 { usleep(5000) }
      }
      #expect(next == 400)
      // The other is gone, after whatever the kernel held for it.
      try wait(for: "the end of the stalled") {
        do {
          return try stalled.sendSome(requests) < 0
        } catch {
          return true
        }
      }
      try expectService(daemon)
    }

    @Test("Of a peer that reads late the daemon keeps what queue-bytes says, and answers it all")
    func queueBytes() throws {
      let daemon = try daemon("queue-bytes: 16384, stall-timeout: 10m")
      let peer = try daemon.peer()
      try peer.bind(0, "acme", "many")
      let descriptor = peer.descriptor
      let requestCount = 200_000
      let before = daemon.residentBytes
      try withBackground(1) { background, _ in
        for start in stride(from: 0, to: requestCount, by: 100) {
          let bytes = (start..<(start + 100)).flatMap { Request.query(id: UInt32($0)) }
          try Peer.send(bytes, to: descriptor)
          background.didRound()
        }
      } during: { background in
        var sent = -1
        try wait(for: "the sender to be held up") {
          defer { sent = background.roundCount }
          usleep(200_000)
          return background.roundCount == sent
        }
        #expect(sent > 0 && sent < requestCount / 100)
        #expect(daemon.residentBytes - before < 2 << 20)
        for id in 0..<requestCount {
          let reply = try peer.receive()
          try #require(reply?.id == UInt32(id) && reply?.decision?.isAllowed == true)
        }
        #expect(background.failureCount == 0)
      }
      try expectService(daemon)
    }

    // MARK: What a request may ask for

    @Test("A batch of the most items is decided, one more is refused whole, and it goes on")
    func batchItems() throws {
      let daemon = try daemon("batch-items: 10")
      let peer = try daemon.peer()
      try peer.bind(0, "acme", "few")
      let item = Request.Item()
      #expect(try peer.ask(Request.batch(Array(repeating: item, count: 11))).errorCode == 2)
      #expect(try peer.ask(Request.batch([])).errorCode == 1)
      let reply = try peer.ask(Request.batch(Array(repeating: item, count: 10)))
      // Nothing was taken by the one that was refused.
      #expect(reply.items.map(\.isAllowed) == (0..<10).map { $0 < 5 })
    }

    @Test("A key of the most bytes is decided, one more is refused, alone or as an item")
    func keyBytes() throws {
      let daemon = try daemon("key-bytes: 100")
      let peer = try daemon.peer()
      try peer.bind(0, "acme", "few")
      let (longest, longer) = (
        String(repeating: "k", count: 100), String(repeating: "k", count: 101)
      )
      #expect(try peer.decide(Request.query(key: longest)).isAllowed)
      #expect(try peer.ask(Request.query(key: longer)).errorCode == 2)
      #expect(try peer.ask(Request.query("acme", "few", key: longer)).errorCode == 2)
      let items = try peer.ask(
        Request.batch([Request.Item(key: longest), Request.Item(key: longer), Request.Item()])
      ).items
      #expect(items.map(\.outcome) == [0, ReplyDecision.notDecided, 0])
      #expect(items[1].reason == 2)
      #expect(try peer.decide(Request.query(key: "")).isAllowed)
    }

    @Test("The last handle can be bound, the next cannot, and it goes on")
    func handles() throws {
      let daemon = try daemon("handles: 10")
      let peer = try daemon.peer()
      try peer.bind(9, "acme", "few")
      for handle: UInt16 in [10, 11, .max] {
        #expect(try peer.ask(Request.bind(handle, "acme", "few")).errorCode == 12)
        #expect(try peer.ask(Request.query(handle: handle)).errorCode == 9)
      }
      #expect(try peer.ask(Request.query(handle: 8)).errorCode == 9)
      #expect(try peer.decide(Request.query(handle: 9)).remaining == 4)
      // A failed bind leaves the handle as it was.
      #expect(try peer.ask(Request.bind(9, "acme", "no-such")).errorCode == 6)
      #expect(try peer.decide(Request.query(handle: 9)).remaining == 3)
    }

    @Test("The last permit is given, the next is not, until one is released")
    func permits() throws {
      let daemon = try TestDaemon {
        $0.settings = "  limits: {permits: 3}"
        $0.policy = DaemonOptions.defaultPolicy.replacing("limit: 2", with: "limit: 100")
      }
      let peer = try daemon.peer()
      let permits = try (0..<3).map { _ in
        try #require(try peer.ask(Request.query("acme", "held", .acquire)).permit)
      }
      #expect(Set(permits).count == 3 && !permits.contains(0))
      #expect(try peer.ask(Request.query("acme", "held", .acquire)).errorCode == 12)
      // Several in one turn, more than there is room for.
      #expect(try peer.ask(Request.release(permits[1])).operation == 0x87)
      try peer.send((0..<4).flatMap { Request.query("acme", "held", .acquire, id: $0) })
      let replies = try (0..<4).map { _ in try #require(try peer.receive()) }
      #expect(replies.map(\.errorCode) == [nil, 12, 12, 12])
      #expect(try peer.ask(Request.release(permits[1])).errorCode == 10)
      // Another connection has its own.
      #expect(try daemon.peer().ask(Request.query("acme", "held", .acquire)).permit ?? 0 > 0)
    }

    @Test("An acquire with nothing to hold takes no place")
    func emptyPermits() throws {
      let daemon = try daemon("permits: 1")
      let peer = try daemon.peer()
      for _ in 0..<3 {
        #expect(try peer.ask(Request.query("acme", "held", .acquire, cost: 0)).permit == 0)
        #expect(try peer.ask(Request.query("acme", "many", .acquire)).permit == 0)
      }
      #expect(try peer.ask(Request.query("acme", "held", .acquire)).permit ?? 0 > 0)
    }

    @Test("The reply to hello says the bounds")
    func saysBounds() throws {
      let daemon = try daemon(
        "frame-bytes: 2000, batch-items: 11, key-bytes: 12, handles: 13, permits: 14")
      let bytes = try daemon.peer().ask(Request.hello()).isError
      #expect(bytes)
      let hello = try daemon.door.silentPeer().greet().bytes
      let said = [(20, 4), (24, 2), (26, 2), (28, 2), (30, 2)].map { place, width in
        (0..<width).reduce(0) { $0 | Int(hello[place + $1]) << (8 * $1) }
      }
      #expect(said == [2000, 11, 12, 13, 14])
    }
  }
}
