// How often queries found no room for a bucket of their own, by what kept them from it: for people who
// choose the sizes of the tables. Counted where a wider bucket is charged instead, which is rare or a
// flood: where a look finds no room, or the attempt to take it finds that it is gone. Either goes a scope
// wider, so that no decision counts twice. Words that several threads may meet in are apart by tenant or key.

import Synchronization

/// What keeps a query from a bucket of its own.
public enum RoomCap: UInt8, CaseIterable, Sendable {
  /// The tenant has as many key buckets as one may.
  case tenantKeys
  /// There are as many tenants as may be, or as may be that are not named.
  case tenants
  /// Tenants that are not named have their share of the table.
  case guestShare
  /// Named tenants have all but what is guaranteed to each.
  case namedShare
  /// All the places where the bucket might stand are taken.
  case table
}

/// Counts them, per scope of the bucket that there was no room for.
///
/// Words count up and wrap; anybody writes; they publish nothing, so relaxed.
struct CapCounters: @unchecked Sendable {
  private static let stripes = 8
  private static let wordsPerStripe = 16
  static var wordCount: Int { stripes * wordsPerStripe }

  private let words: UnsafeMutablePointer<Word>

  /// - Parameter words: `wordCount` zeroed words that outlive this view.
  init(words: UnsafeMutablePointer<Word>) { self.words = words }

  private static func place(_ scope: UInt8, _ cap: RoomCap) -> Int {
    Int(scope) * RoomCap.allCases.count + Int(cap.rawValue)
  }

  func count(_ scope: UInt8, _ cap: RoomCap, of key: Fingerprint) {
    let stripe = Int(truncatingIfNeeded: key.high) & (Self.stripes - 1)
    (words + (stripe * Self.wordsPerStripe + Self.place(scope, cap))).pointee
      .wrappingAdd(1, ordering: .relaxed)
  }

  func sum(_ scope: UInt8, _ cap: RoomCap) -> UInt64 {
    (0..<Self.stripes).reduce(0) { sum, stripe in
      let word = words + (stripe * Self.wordsPerStripe + Self.place(scope, cap))
      return sum &+ word.pointee.load(ordering: .relaxed)
    }
  }
}

extension BucketTable {
  /// What keeps the tenant from one more bucket here; others may have changed it meanwhile. Writes nothing.
  func cap(for tenant: Fingerprint, isGuest: Bool) -> RoomCap {
    guard let directory, let shares else { return .table }
    let isKey = counters.pointee.scope == .key
    let keys = isKey ? UInt64(directory.liveCount(of: tenant)) : 0
    if isKey, keys >= directory.keysPerTenantMax { return .tenantKeys }
    if !directory.hasRoom(for: tenant, isGuest: isGuest, isKey: isKey) { return .tenants }
    if shares.hasRoom(isGuest: isGuest, keys: isGuest ? 0 : keys) { return .table }
    return isGuest ? .guestShare : .namedShare
  }
}

extension Engine {
  /// How often a decision found no room for a bucket of `scope`, since the engine was made: peeks
  /// are not counted. O(1).
  ///
  /// - Precondition: `scope` is `key` or `tenant`: everybody's buckets always have room.
  public func capHits(_ scope: Scope, _ cap: RoomCap) -> UInt64 {
    precondition(scope != .global, "buckets of global limits always have room")
    return storages.capCounters.sum(scope.rawValue, cap)
  }
}
