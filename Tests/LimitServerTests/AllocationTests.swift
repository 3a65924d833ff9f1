// From bytes to bytes the server allocates nothing per query: counted, not read.

import CAllocationCounter
import DaemonSupport
import LimitEngine
import Testing

@testable import LimitServer

// Skipped, and the run says so, where a sanitizer owns malloc and nothing is counted.
@Suite(.enabled(if: limitd_allocations_of_this_thread() >= 0, "a sanitizer owns malloc"))
struct SessionAllocationTests {
  private static let policy = """
    limits:
      burst: {algorithm: token-bucket, rate: 1M/s, burst: 1M, scope: tenant}
      user: {algorithm: token-bucket, rate: 10/s, burst: 20, scope: key}
      tokens: {algorithm: sliding-window, limit: 1M, window: 1m, scope: tenant, unit: tokens}
      flight: {algorithm: concurrency, limit: 8, scope: tenant}
    policies: {one: [burst], many: [burst, user, tokens, flight], flight: [flight]}
    tenants: {"*": {}, acme: {}, banned: {blocked: true}}
    """

  /// Allocations of 50 turns on the same input, after one that may allocate.
  private func allocations(_ requests: [UInt8], replies: Int) throws -> Int64 {
    var peer = try MemoryPeer(MemoryServer(Self.policy))
    let start = Instant(nanoseconds: 1 << 40)
    peer.send(
      Request.hello() + Request.bind(0, "acme", "one") + Request.bind(1, "acme", "many")
        + Request.bind(2, "banned", "many"), at: start)
    var before: Int64 = 0
    try requests.withUnsafeBytes { input in
      for round in 0..<51 {
        if round == 1 { before = limitd_allocations_of_this_thread() }
        let now = Instant(nanoseconds: start.nanoseconds + UInt64(round) * 30_000_000)
        let progress = peer.serve(input, at: now)
        guard progress.consumed == input.count, peer.output.count == replies else {
          throw Unserved(consumed: progress.consumed, output: peer.output.count)
        }
      }
    }
    let count = limitd_allocations_of_this_thread() - before
    peer.end()
    return count
  }

  /// A turn that did not serve everything would count too little.
  private struct Unserved: Error {
    let consumed: Int
    let output: Int
  }

  @Test("Checks by handle, alone or with many limits, allowed or denied, allocate nothing")
  func byHandle() throws {
    for handle: UInt16 in 0...2 {
      let requests = (0..<200).flatMap { Request.query(handle: handle, key: "key-\($0 % 7)") }
      #expect(try allocations(requests, replies: 200 * 72) == 0)
    }
  }

  @Test("Queries by name, peeks and batches allocate nothing")
  func others() throws {
    let named = (0..<100).flatMap { Request.query("acme", "many", key: "key-\($0)") }
    #expect(try allocations(named, replies: 100 * 72) == 0)
    let unnamed = (0..<30).flatMap { Request.query("someone-\($0)", "one") }
    #expect(try allocations(unnamed, replies: 30 * 72) == 0)
    let peeks = (0..<100).flatMap { Request.query(.peek, handle: 1, key: "key-\($0)") }
    #expect(try allocations(peeks, replies: 100 * 72) == 0)
    let items = (0..<300).map { Request.Item(UInt16($0 % 3), key: "key-\($0 % 10)") }
    #expect(try allocations(Request.batch(items), replies: 16 + 300 * 64) == 0)
    #expect(try allocations(Request.ping() + Request.ping(), replies: 16) == 0)
  }

  @Test("Settling by handle and by name, to less, the same and more, allocates nothing")
  func settling() throws {
    // Receipts of another server with the same secret are as good.
    var peer = try MemoryPeer(MemoryServer(Self.policy))
    peer.send(
      Request.hello() + Request.bind(1, "acme", "many"), at: Instant(nanoseconds: 1 << 40))
    _ = peer.takeReplies()
    var requests: [UInt8] = []
    for number in 0..<90 {
      let key = "key-\(number % 7)"
      peer.send(
        Request.query(handle: 1, key: key), at: Instant(nanoseconds: 1 << 40 + UInt64(number)))
      let decision = try #require(Reply(peer.takeReplies()).decision)
      let (actual, receipt) = (UInt64(number % 3), decision.receipt)
      try #require(decision.isAllowed)
      requests +=
        number < 45
        ? Request.settle(handle: 1, cost: 1, actual: actual, receipt: receipt, key: key)
        : Request.settle("acme", "many", cost: 1, actual: actual, receipt: receipt, key: key)
    }
    peer.end()
    // A receipt that is stale would be answered at greater length.
    #expect(try allocations(requests, replies: 90 * 8) == 0)
  }

  @Test("Permits taken and returned allocate nothing once their places are there")
  func permits() throws {
    var peer = try MemoryPeer(MemoryServer(Self.policy))
    let now = Instant(nanoseconds: 1 << 40)
    peer.send(Request.hello() + Request.bind(0, "acme", "flight"), at: now)
    let acquire = Request.query(.acquire)
    var before: Int64 = 0
    var isServed = true
    for round in 0..<50 {
      if round == 1 { before = limitd_allocations_of_this_thread() }
      acquire.withUnsafeBytes { _ = peer.serve($0, at: now) }
      let permit = peer.output.loadUnaligned(fromByteOffset: 72, as: UInt64.self)
      isServed = isServed && permit != 0
      // The frame of a release, made by hand: an array would be counted.
      var words = (UInt64(16) | UInt64(0x07) << 24, permit)
      withUnsafeBytes(of: &words) { _ = peer.serve($0, at: now) }
      isServed = isServed && peer.output.count == 8
    }
    #expect(limitd_allocations_of_this_thread() - before == 0)
    #expect(isServed)
    peer.end()
  }
}
