// What peers may make the daemon hold.

import LimitPolicy
import Testing

@testable import LimitServer

@Suite struct PeerQuotaTests {
  private func quota(
    connections: Int = 100, perUser: Int = 100, memory: Int = 1 << 24, memoryPerUser: Int = 1 << 24
  ) -> PeerQuota {
    var limits = DaemonSettings.Limits()
    limits.connections = connections
    limits.connectionsPerUser = perUser
    limits.memoryBytes = memory
    limits.memoryBytesPerUser = memoryPerUser
    return PeerQuota(PeerBounds(limits)) { $0 == 0 }
  }

  /// How many connections of a user are let in, of `tries`.
  private func entered(_ quota: PeerQuota, _ user: UInt32, tries: Int) -> [UserAccount] {
    (0..<tries).compactMap { _ in try? quota.enter(user) }
  }

  @Test("A user has the connections of one user, and those that left come back")
  func perUser() throws {
    let quota = quota(perUser: 3)
    let accounts = entered(quota, 7, tries: 10)
    #expect(accounts.count == 3)
    #expect(entered(quota, 8, tries: 10).count == 3)
    #expect(throws: PeerQuota.Refusal.self) { try quota.enter(7) }
    quota.leave(accounts[0])
    #expect(entered(quota, 7, tries: 10).count == 1)
    #expect(quota.connectionCount == 6)
  }

  @Test("Users who take all connections leave root's")
  func setAside() {
    let quota = quota(connections: 100)
    #expect(entered(quota, 7, tries: 60).count + entered(quota, 8, tries: 60).count == 92)
    #expect(entered(quota, 0, tries: 20).count == 8)
  }

  @Test("Root is not bound by the limits of one user")
  func root() {
    #expect(entered(quota(perUser: 3), 0, tries: 20).count == 20)
  }

  @Test("Memory is bounded per user and in all, and what is given back can be had again")
  func memory() throws {
    let quota = quota(memory: 1 << 20, memoryPerUser: 1 << 19)
    let (seven, eight, root) = (try quota.enter(7), try quota.enter(8), try quota.enter(0))
    #expect(!seven.reserve(1 << 19))
    let part = (1 << 19) - Connection.byteCount
    #expect(seven.reserve(part))
    #expect(!seven.reserve(1))
    // A sixteenth is root's.
    #expect(!eight.reserve(part))
    #expect(eight.reserve(part - (1 << 16) - Connection.byteCount))
    #expect(root.reserve(1 << 16))
    #expect(quota.memoryHeld == 1 << 20)
    seven.giveBack(part)
    root.giveBack(1 << 16)
    #expect(seven.reserve(part))
  }

  @Test("A refused reservation counts nothing")
  func refusal() throws {
    let quota = quota(memory: 1 << 20, memoryPerUser: 1 << 19)
    let account = try quota.enter(7)
    let before = quota.memoryHeld
    for _ in 0..<100 { #expect(!account.reserve(1 << 20)) }
    #expect(quota.memoryHeld == before)
    quota.leave(account)
    #expect(quota.memoryHeld == 0)
  }
}
