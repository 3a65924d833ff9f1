// What peers may make the daemon hold: connections and memory, in all and per user.
//
// Counted per connection and where a connection's own memory grows, never per query. A part of
// both is set aside for root and the daemon's own user, so that others cannot shut them out.

package import LimitPolicy
import LimitRuntime
import LimitSystem
import Synchronization

/// The bounds. Sizes in bytes.
package struct PeerBounds: Sendable, Equatable {
  var connections: Int
  var connectionsPerUser: Int
  var memory: Int
  var memoryPerUser: Int

  package init(_ limits: DaemonSettings.Limits) {
    connections = limits.connections
    connectionsPerUser = limits.connectionsPerUser
    memory = limits.memoryBytes
    memoryPerUser = limits.memoryBytesPerUser
  }

  /// Of `connections`, those that only root and the daemon's own user get.
  var connectionsSetAside: Int { min(8, connections / 2) }
  /// Of `memory`, what only root and the daemon's own user get.
  var memorySetAside: Int { memory / 16 }
}

/// One user's part. Any thread; each connection holds its user's.
final class UserAccount: Sendable {
  let userID: UInt32
  fileprivate let isPrivileged: Bool
  fileprivate let quota: PeerQuota
  /// Bytes that the user's connections hold. Written by every loop; publishes nothing, so relaxed.
  fileprivate let memory = Atomic<Int>(0)

  fileprivate init(_ userID: UInt32, isPrivileged: Bool, _ quota: PeerQuota) {
    self.userID = userID
    self.isPrivileged = isPrivileged
    self.quota = quota
  }

  /// Counts bytes in before they are allocated.
  ///
  /// - Returns: whether the user may have them; nothing is counted otherwise.
  func reserve(_ bytes: Int) -> Bool {
    let bounds = quota.bounds
    let ownMax = isPrivileged ? bounds.memory : bounds.memoryPerUser
    let max = isPrivileged ? bounds.memory : bounds.memory - bounds.memorySetAside
    guard memory.add(bytes, ordering: .relaxed).newValue <= ownMax else {
      memory.subtract(bytes, ordering: .relaxed)
      return false
    }
    guard quota.memory.add(bytes, ordering: .relaxed).newValue <= max else {
      giveBack(bytes)
      return false
    }
    return true
  }

  func giveBack(_ bytes: Int) {
    memory.subtract(bytes, ordering: .relaxed)
    quota.memory.subtract(bytes, ordering: .relaxed)
  }
}

/// Counts what all peers hold against the bounds. Any thread.
package final class PeerQuota: Sendable {
  private struct Counts {
    var total = 0
    var byUser: [UInt32: (count: Int, account: UserAccount)] = [:]
    /// Connections closed since `takeClosedCount`.
    var closed = 0
    /// Connections that were not let in.
    var refused: UInt64 = 0
  }

  /// Why a connection is not let in.
  enum Refusal: Error {
    case user(Int)
    case all(Int)
    case memory
  }

  let bounds: PeerBounds
  private let isPrivileged: @Sendable (UInt32) -> Bool
  private let counts = Locked(Counts())
  /// Bytes that all connections hold. Written by every loop; publishes nothing, so relaxed.
  fileprivate let memory = Atomic<Int>(0)

  /// - Parameter isPrivileged: whether a user may have what is set aside.
  package init(
    _ bounds: PeerBounds,
    isPrivileged: @escaping @Sendable (UInt32) -> Bool = Access.isPrivileged
  ) {
    self.bounds = bounds
    self.isPrivileged = isPrivileged
  }

  /// Counts a connection in, if there is room for it. Each that came in leaves once.
  func enter(_ userID: UInt32) throws(Refusal) -> UserAccount {
    let isPrivileged = self.isPrivileged(userID)
    let bounds = self.bounds
    let max = isPrivileged ? bounds.connections : bounds.connections - bounds.connectionsSetAside
    return try counts.withLock { counts throws(Refusal) in
      var isLetIn = false
      defer { if !isLetIn { counts.refused += 1 } }
      let own = counts.byUser[userID]
      guard isPrivileged || (own?.count ?? 0) < bounds.connectionsPerUser else {
        throw .user(bounds.connectionsPerUser)
      }
      guard counts.total < max else { throw .all(bounds.connections) }
      let account =
        own?.account ?? UserAccount(userID, isPrivileged: isPrivileged, self)
      guard account.reserve(Connection.byteCount) else { throw .memory }
      counts.total += 1
      counts.byUser[userID] = ((own?.count ?? 0) + 1, account)
      isLetIn = true
      return account
    }
  }

  func leave(_ account: UserAccount) {
    account.giveBack(Connection.byteCount)
    counts.withLock { counts in
      counts.total -= 1
      counts.closed += 1
      let own = (counts.byUser[account.userID]?.count ?? 1) - 1
      counts.byUser[account.userID] = own == 0 ? nil : (own, account)
    }
  }

  package var connectionCount: Int { counts.withLock { $0.total } }

  /// Connections that all peers together may have.
  package var connectionsMax: Int { bounds.connections }

  /// Connections that were not let in since the start.
  package var refusedCount: UInt64 { counts.withLock { $0.refused } }

  /// Bytes that connections hold now.
  package var memoryHeld: Int { memory.load(ordering: .relaxed) }

  /// How many connections were closed since this was last called.
  package func takeClosedCount() -> Int {
    counts.withLock { counts in
      defer { counts.closed = 0 }
      return counts.closed
    }
  }
}
