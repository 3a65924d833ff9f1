// Golden vectors that are cut, damaged, or cut into pieces, in a whole session: whatever comes, each
// request has one reply, and nothing is held at the end.

import DaemonSupport
import Foundation
import LimitEngine
import LimitProtocol
import TestSupport
import Testing

@testable import LimitServer

@Suite struct HostileSessionTests {
  private static let policy = """
    limits:
      rate: {algorithm: token-bucket, rate: 10/s, burst: 20, scope: key}
      held: {algorithm: concurrency, limit: 3, scope: tenant}
    policies: {gateway: [rate], chat: [rate, held], held: [held]}
    tenants: {"*": {}, acme: {}, banned: {blocked: true}}
    """
  private static let start = Instant(nanoseconds: 1 << 40)

  /// The requests of docs/protocol-vectors.json.
  private static let vectors: [[UInt8]] = {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/protocol-vectors.json")
    let object = try? JSONSerialization.jsonObject(with: Data(contentsOf: file))
    let vectors = (object as? [String: Any])?["vectors"] as? [[String: Any]] ?? []
    return vectors.filter { $0["direction"] as? String == "request" }
      .compactMap { ($0["frame"] as? String).map(bytes(hex:)) }
  }()

  private static func bytes(hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }

  private func greeted(_ server: MemoryServer) throws -> MemoryPeer {
    var peer = try MemoryPeer(server)
    peer.send(
      Request.hello() + Request.bind(0, "acme", "chat") + Request.bind(7, "acme", "gateway")
        + Request.bind(1, "acme", "held"), at: Self.start)
    _ = peer.takeReplies()
    return peer
  }

  /// Whole frames, and whether nothing is behind the last.
  private func frames(_ bytes: [UInt8]) -> (ids: [UInt32], isWhole: Bool) {
    bytes.withUnsafeBytes { bytes in
      var ids: [UInt32] = []
      var rest = bytes
      while case .frame(let header, _) = Framing.next(in: rest, lengthMax: 1 << 20) {
        ids.append(header.id)
        rest = UnsafeRawBufferPointer(rebasing: rest[header.length...])
      }
      return (ids, rest.isEmpty)
    }
  }

  @Test("There are vectors of every request") func vectorsAreThere() {
    let operations = Set(Self.vectors.map { $0[3] })
    #expect(operations.isSuperset(of: Operation.allCases.map(\.rawValue)))
  }

  @Test("A request that is cut short, its length included, is answered once")
  func truncation() throws {
    let server = try MemoryServer(Self.policy)
    for vector in Self.vectors {
      for count in 8..<vector.count {
        var cut = Array(vector.prefix(count))
        for place in 0..<3 { cut[place] = UInt8(truncatingIfNeeded: count >> (8 * place)) }
        var peer = try greeted(server)
        peer.send(cut + Request.ping(id: 99), at: Self.start)
        let replies = frames(peer.takeReplies())
        peer.end()
        let isRight = replies.isWhole && replies.ids.last == 99 && replies.ids.count == 2
        #expect(isRight, "operation \(vector[3]) cut to \(count): \(replies.ids)")
      }
    }
    #expect(server.engine.invariantViolation(at: Self.start) == nil)
  }

  @Test("A request with any one byte changed is answered once, or ends the connection")
  func corruption() throws {
    let server = try MemoryServer(Self.policy)
    for vector in Self.vectors {
      for place in vector.indices {
        // Every bit, the extremes, and the neighbours.
        let original = vector[place]
        var values: Set<UInt8> = [0, 255, original &+ 1, original &- 1]
        for bit in 0..<8 { values.insert(original ^ 1 << bit) }
        for value in values where value != original {
          var damaged = vector
          damaged[place] = value
          var peer = try greeted(server)
          peer.send(damaged, at: Self.start)
          let replies = frames(peer.takeReplies())
          // A longer length waits for more; a shorter one leaves bytes that may be a frame.
          let isRight = replies.isWhole && (place < 3 || replies.ids.count == 1)
          #expect(isRight, "operation \(vector[3]), byte \(place) as \(value): \(replies.ids)")
          peer.end()
        }
      }
    }
    #expect(server.engine.invariantViolation(at: Self.start) == nil)
  }

  @Test("However the bytes are cut into pieces and turns are kept short, the replies are the same")
  func pieces() throws {
    var random = SeededGenerator(seed: testSeed)
    let stream = Self.vectors.filter { $0[3] != 1 }.flatMap { $0 }
    var whole = try greeted(MemoryServer(Self.policy))
    whole.send(stream, at: Self.start)
    let expected = whole.takeReplies()
    whole.end()
    #expect(frames(expected).isWhole)
    for _ in 0..<200 / scale {
      var server = try MemoryServer(Self.policy)
      if random.chance(1, in: 2) { server.queueBytes = 0 }
      var peer = try greeted(server)
      if random.chance(1, in: 2) { peer.unitsPerTurn = Int.random(in: 1...50, using: &random) }
      var rest = stream[...]
      while !rest.isEmpty {
        let count = Int.random(in: 1...min(rest.count, 100), using: &random)
        peer.send(rest.prefix(count), at: Self.start)
        rest = rest.dropFirst(count)
      }
      let replies = peer.takeReplies()
      peer.end()
      #expect(replies == expected, "seed \(testSeed)")
    }
  }

  @Test("A session that ends returns its permits")
  func permits() throws {
    let server = try MemoryServer(Self.policy)
    for _ in 0..<3 {
      var peer = try greeted(server)
      peer.send((0..<3).flatMap { Request.query(.acquire, handle: 1, id: $0) }, at: Self.start)
      let replies = peer.takeReplies()
      #expect(replies.count == 3 * 80 && replies[8] == 0 && replies[8 + 160] == 0)
      peer.end()
    }
  }
}
