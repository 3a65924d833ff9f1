// How many connections the admin interface has, in all and of each user: so no user keeps another out,
// and what all of them can make the daemon hold is bounded. Used on the event loop only.

import LimitRuntime

final class AdminConnections {
  /// Connections at once.
  static let most = 64
  /// Of these, what users other than root and the daemon's own get together, and each of them.
  static let mostOfOthers = 48
  static let mostPerUser = 16

  private var total = 0
  private var ofOthers = 0
  private var byUser: [UInt32: Int] = [:]

  /// Counts a connection in.
  ///
  /// - Parameter user: `nil` for the metrics listener, whose callers count as one user.
  /// - Returns: whether there is room; nothing is counted otherwise.
  func enter(_ user: UInt32?) -> Bool {
    let isPrivileged = user.map(Access.isPrivileged) ?? false
    guard total < Self.most else { return false }
    if !isPrivileged {
      guard ofOthers < Self.mostOfOthers, byUser[Self.key(user), default: 0] < Self.mostPerUser
      else { return false }
      ofOthers += 1
      byUser[Self.key(user), default: 0] += 1
    }
    total += 1
    return true
  }

  func leave(_ user: UInt32?) {
    total -= 1
    guard !(user.map(Access.isPrivileged) ?? false) else { return }
    ofOthers -= 1
    let left = byUser[Self.key(user), default: 1] - 1
    byUser[Self.key(user)] = left == 0 ? nil : left
  }

  /// No user has this number (setreuid(2)).
  private static func key(_ user: UInt32?) -> UInt32 { user ?? .max }
}
