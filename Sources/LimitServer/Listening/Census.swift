// How many connections there are, in all and per user.

import LimitSystem

/// Counts connections against their limits. Any thread; once per connection, not per query.
final class Census: Sendable {
  private struct Counts {
    var total = 0
    var byUser: [UInt32: Int] = [:]
  }

  private let counts = Locked(Counts())
  private let connectionsMax: Int
  private let connectionsPerUserMax: Int

  init(connectionsMax: Int, connectionsPerUserMax: Int) {
    self.connectionsMax = connectionsMax
    self.connectionsPerUserMax = connectionsPerUserMax
  }

  /// Counts a connection in, if there is room for it. Each that came in leaves once.
  func enter(_ userID: UInt32) -> Bool {
    counts.withLock { counts in
      let own = counts.byUser[userID, default: 0]
      guard counts.total < connectionsMax, own < connectionsPerUserMax else { return false }
      counts.total += 1
      counts.byUser[userID] = own + 1
      return true
    }
  }

  func leave(_ userID: UInt32) {
    counts.withLock { counts in
      counts.total -= 1
      let own = counts.byUser[userID, default: 1] - 1
      counts.byUser[userID] = own == 0 ? nil : own
    }
  }

  var total: Int { counts.withLock { $0.total } }
}
