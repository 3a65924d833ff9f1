// Receipts over the protocol, in a session in memory: what is not whole, or of others, is refused and
// changes nothing; what is good is settled, however late, and fills nothing above full.

import DaemonSupport
import LimitEngine
import LimitPolicy
import LimitRuntime
import Testing

@testable import LimitServer

@Suite struct ReceiptSessionTests {
  private static let policy = """
    limits:
      bucket: {algorithm: token-bucket, rate: 1/1d, burst: 100, scope: key}
      window: {algorithm: sliding-window, limit: 1000, window: 31d, scope: global}
    policies: {chat: [window, bucket], other: [bucket, window]}
    tenants: {"*": {}, acme: {}, globex: {}}
    """
  private static let start = Instant(nanoseconds: 1 << 40)
  private static let (malformed, stale) = (UInt16(1), UInt16(11))
  /// Longer than a receipt: whatever is cut off, the frame is long enough to be read.
  private static let longKey = "a key of more bytes than a receipt has"

  /// A peer with handles 0 for the decision's tenant and policy, 1 for another tenant, 2 for another
  /// policy.
  private func greeted(_ server: MemoryServer, at now: Instant = Self.start) throws -> MemoryPeer {
    var peer = try MemoryPeer(server)
    peer.send(
      Request.hello() + Request.bind(0, "acme", "chat") + Request.bind(1, "globex", "chat")
        + Request.bind(2, "acme", "other"), at: now)
    _ = peer.takeReplies()
    return peer
  }

  private func ask(_ peer: inout MemoryPeer, _ request: [UInt8], at now: Instant = Self.start)
    -> Reply
  {
    peer.send(request, at: now)
    return Reply(peer.takeReplies())
  }

  private func receipt(
    _ peer: inout MemoryPeer, cost: UInt64, key: String = "k", at now: Instant = Self.start
  ) throws -> [UInt8] {
    let reply = ask(&peer, Request.query(cost: cost, key: key), at: now)
    let decision = try #require(reply.decision)
    #expect(decision.isAllowed)
    return decision.receipt
  }

  /// What everybody is told whom a receipt might reach.
  private func peeks(_ peer: inout MemoryPeer) -> [Reply] {
    var replies: [Reply] = []
    for key in ["k", Self.longKey, "another"] {
      for handle in 0...2 as ClosedRange<UInt16> {
        replies.append(ask(&peer, Request.query(.peek, handle: handle, key: key)))
      }
    }
    return replies
  }

  /// A request to settle that is to be refused.
  private struct Attempt {
    var frame: [UInt8]
    var what: String
    var code = ReceiptSessionTests.stale
  }

  /// That each attempt is refused with its code and changes nothing, and that the receipt that they
  /// were made from, of 50 units, is settled afterwards.
  private func expectRefused(
    _ attempts: [Attempt], _ peer: inout MemoryPeer, key: String = "k", original: [UInt8]
  ) {
    let before = peeks(&peer)
    for attempt in attempts {
      let reply = ask(&peer, attempt.frame)
      #expect(reply.errorCode == attempt.code, "\(attempt.what): \(reply)")
      let after = peeks(&peer)
      #expect(after == before, "\(attempt.what)")
    }
    let reply = ask(&peer, Request.settle(cost: 50, actual: 20, receipt: original, key: key))
    #expect(reply.operation == 0x88)
    let left = ask(&peer, Request.query(.peek, handle: 2, key: key)).decision?.remaining
    #expect(left == 80)
    peer.end()
  }

  @Test(
    "A receipt with any bit changed, or any byte, is stale and does nothing; then it is settled")
  func altered() throws {
    var peer = try greeted(MemoryServer(Self.policy))
    let receipt = try self.receipt(&peer, cost: 50)
    var attempts: [Attempt] = []
    for place in receipt.indices {
      for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] as [UInt8] {
        var altered = receipt
        altered[place] ^= mask
        let actual: UInt64 = mask == 255 ? 99 : 0
        attempts.append(
          Attempt(
            frame: Request.settle(cost: 50, actual: actual, receipt: altered),
            what: "byte \(place) ^ \(mask)"))
      }
    }
    expectRefused(attempts, &peer, original: receipt)
  }

  @Test(
    "A receipt that is cut or extended is malformed where nothing fills it, and else stale",
    arguments: ["k", longKey])
  func cutOrExtended(key: String) throws {
    var peer = try greeted(MemoryServer(Self.policy))
    let receipt = try self.receipt(&peer, cost: 50, key: key)
    var attempts: [Attempt] = []
    func attempt(_ other: [UInt8], _ what: String) {
      // What follows the receipt is the key: its first bytes are read for what was cut off.
      let isWhole = other.count + key.utf8.count >= receipt.count
      attempts.append(
        Attempt(
          frame: Request.settle(cost: 50, actual: 0, receipt: other, key: key), what: what,
          code: isWhole ? Self.stale : Self.malformed))
    }
    for count in 1...receipt.count {
      attempt(Array(receipt.dropLast(count)), "cut by \(count)")
      attempt(Array(receipt.dropFirst(count)), "cut by the first \(count)")
      for byte in [0, 1, 0x6B, 255] as [UInt8] {
        attempt(receipt + Array(repeating: byte, count: count), "\(count) times \(byte) more")
      }
    }
    expectRefused(attempts, &peer, key: key, original: receipt)
  }

  @Test("A receipt of another key, tenant, policy, cost, installation, a peek or a denial is stale")
  func ofOthers() throws {
    let server = try MemoryServer(Self.policy)
    var peer = try greeted(server)
    let mine = try receipt(&peer, cost: 50)
    var elsewhere = server
    elsewhere.rulebook = try Rulebook(
      PolicyFile.parse(Self.policy, path: "test.yaml"), hashKey: HashKey(low: 8, high: 9))
    var stranger = try greeted(elsewhere)
    let foreign = try receipt(&stranger, cost: 50, key: "foreign")
    stranger.end()
    let peek = ask(&peer, Request.query(.peek, cost: 50)).decision
    let peeked = try #require(peek?.isAllowed == true ? peek?.receipt : nil)
    let refusal = ask(&peer, Request.query(cost: 99)).decision
    let denied = try #require(refusal?.isAllowed == false ? refusal?.receipt : nil)
    var attempts: [Attempt] = []
    func attempt(_ frame: [UInt8], _ what: String) {
      attempts.append(Attempt(frame: frame, what: what))
    }
    for actual in [0, 99] as [UInt64] {
      for key in ["another", "", "K"] {
        attempt(Request.settle(cost: 50, actual: actual, receipt: mine, key: key), "key \(key)")
      }
      for handle in [1, 2] as [UInt16] {
        attempt(
          Request.settle(handle: handle, cost: 50, actual: actual, receipt: mine),
          "handle \(handle)")
      }
      for (tenant, policy) in [("globex", "chat"), ("acme", "other"), ("nobody", "chat")] {
        attempt(
          Request.settle(tenant, policy, cost: 50, actual: actual, receipt: mine),
          "\(tenant), \(policy)")
      }
      for cost in [0, 49, 51, 1 << 40] as [UInt64] {
        attempt(Request.settle(cost: cost, actual: actual, receipt: mine), "cost \(cost)")
      }
      attempt(
        Request.settle(cost: 50, actual: actual, receipt: foreign, key: "foreign"), "elsewhere")
      attempt(Request.settle(cost: 50, actual: actual, receipt: peeked), "peek")
      attempt(Request.settle(cost: 99, actual: actual, receipt: denied), "denial")
    }
    expectRefused(attempts, &peer, original: mine)
  }

  @Test(
    "Settled later than a window, a receipt corrects what the page says, and nothing beyond full")
  func late() throws {
    let second: UInt64 = 1_000_000_000
    let policy = """
      limits:
        window: {algorithm: sliding-window, limit: 100, window: 1s, scope: key}
        bucket: {algorithm: token-bucket, rate: 100/s, burst: 100, scope: key}
      policies: {chat: [window, bucket], other: [window], bucket: [bucket]}
      tenants: {"*": {}, acme: {}, globex: {}}
      """
    let (charged, later) = (
      Instant(nanoseconds: 100 * second), Instant(nanoseconds: 105 * second)
    )
    // What the old decision is settled to, what is used by then, and what is left afterwards: in the
    // window nothing comes back, and what is booked is booked now; a bucket is at most full.
    let rows: [(actual: UInt64, used: UInt64, window: UInt64, bucket: UInt64)] = [
      (0, 0, 100, 100), (0, 50, 50, 100), (30, 50, 50, 80), (80, 0, 80, 80), (80, 50, 30, 30),
    ]
    for row in rows {
      var peer = try greeted(MemoryServer(policy), at: charged)
      peer.send(Request.bind(3, "acme", "bucket"), at: charged)
      _ = peer.takeReplies()
      let old = try receipt(&peer, cost: 60, at: charged)
      if row.used > 0 { _ = try receipt(&peer, cost: row.used, at: later) }
      let reply = ask(
        &peer, Request.settle(cost: 60, actual: row.actual, receipt: old), at: later)
      #expect(reply.operation == 0x88)
      for (handle, left) in [(2, row.window), (3, row.bucket)] as [(UInt16, UInt64)] {
        let decision = ask(&peer, Request.query(.peek, handle: handle), at: later).decision
        #expect(decision?.remaining == left, "\(row)")
        let all = ask(&peer, Request.query(handle: handle, cost: left), at: later).decision
        #expect(all?.isAllowed == true, "\(row)")
        let more = ask(&peer, Request.query(handle: handle), at: later).decision
        #expect(more?.outcome == ReplyDecision.deny, "\(row)")
      }
      peer.end()
    }
  }
}
