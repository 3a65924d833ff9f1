// Calls that block allocate nothing once their client has grown.

import CAllocationCounter
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

@Suite struct AllocationTests {
  /// Allocations of this thread, on which everything happens but the server's part.
  private func allocations(_ body: () throws -> Void) rethrows -> Int {
    let before = limitd_allocations_of_this_thread()
    try body()
    return Int(limitd_allocations_of_this_thread() - before)
  }

  @Test func aCheckAllocatesNothing() throws {
    let server = try LyingServer { try $0.beHonest() }
    let client = BlockingLimitClient(.test(server.path))
    let query = LimitQuery(tenant: "acme", policy: "p", key: LimitKey("user-0123456789a"))
    func ask() throws { for _ in 0..<500 { _ = try client.check(query, CallOptions()) } }
    try ask()
    #expect(try allocations(ask) == 0)
  }

  /// A batch has its results to allocate, and some for itself, however many items it has.
  @Test func aBatchsItemsAllocateNothing() throws {
    let server = try LyingServer { try $0.beHonest() }
    let client = BlockingLimitClient(.test(server.path))
    let queries = (0..<10_000).map { number in
      LimitQuery(tenant: "acme", policy: "p", key: "user-\(number)")
    }
    func ask() throws {
      for result in client.batch(queries) { #expect(try result.get().isAllowed) }
    }
    func count() -> Int { allocations { _ = client.batch(queries) } }
    try ask()
    #expect(count() < 100)
  }

  @Test func aPipelinedRequestAllocatesNothing() throws {
    let server = try LyingServer { try $0.beHonest() }
    let connection = try PipelinedConnection.open(.test(server.path))
    let key = Array("user-0123456789a".utf8)
    func exchange() throws {
      for number in 1...100 {
        try key.withUnsafeBytes {
          try connection.query(.check, handle: 0, cost: 1, key: $0, id: UInt32(number))
        }
      }
      try connection.flush(timeout: .patience)
      for _ in 0..<100 { _ = try connection.nextReply(timeout: .patience) }
    }
    try exchange()
    #expect(try allocations(exchange) == 0)
  }
}
