// Who may have how much of a table: the tenants that the rules name, and all others together.

import Synchronization

/// Counts a table's buckets by whether their tenant was named when they were made, and says whether
/// there may be one more.
///
/// | word | legal values | written by | publishes |
/// |---|---|---|---|
/// | guests, named | 0 ... slots, and briefly one more per thread at work | whoever takes or frees a slot | nothing: counts |
/// | bounds | see `Bounds` | whoever puts rules in force | nothing: a decision may go by the ones before |
struct Shares: @unchecked Sendable {
  /// How many buckets there may be.
  struct Bounds: Equatable {
    /// Of all tenants that are not named.
    var guests: UInt64 = .max
    /// Of all that are named, together, where one of them goes beyond what it is guaranteed.
    var named: UInt64 = .max
    /// Which each named tenant may have in any case.
    var guaranteed: UInt64 = 0
  }

  static let boundWords = 3

  private let used: UnsafeMutablePointer<Word>
  private let bounds: UnsafeMutablePointer<Word>

  /// - Parameters:
  ///   - used: two words of the region.
  ///   - bounds: `boundWords` words of this process.
  init(used: UnsafeMutablePointer<Word>, bounds: UnsafeMutablePointer<Word>) {
    self.used = used
    self.bounds = bounds
  }

  func set(_ new: Bounds) {
    for (place, bound) in [new.guests, new.named, new.guaranteed].enumerated() {
      (bounds + place).pointee.store(bound, ordering: .relaxed)
    }
  }

  func bound(ofGuests isGuest: Bool) -> UInt64 { bound(isGuest ? 0 : 1) }

  private func bound(_ place: Int) -> UInt64 { (bounds + place).pointee.load(ordering: .relaxed) }

  func count(ofGuests isGuest: Bool) -> UInt64 {
    (used + (isGuest ? 0 : 1)).pointee.load(ordering: .relaxed)
  }

  /// Whether there may be `count` buckets, for a tenant that then has `keys`.
  private func allows(_ count: UInt64, isGuest: Bool, keys: UInt64) -> Bool {
    count <= bound(isGuest ? 0 : 1) || (!isGuest && keys <= bound(2))
  }

  /// Whether `take` would. Writes nothing.
  func hasRoom(isGuest: Bool, keys: UInt64) -> Bool {
    allows(count(ofGuests: isGuest) + 1, isGuest: isGuest, keys: keys + 1)
  }

  /// Counts one more bucket, if there may be one.
  ///
  /// - Parameter keys: of the tenant, with this one.
  func take(isGuest: Bool, keys: UInt64) -> Bool {
    let word = used + (isGuest ? 0 : 1)
    let count = word.pointee.wrappingAdd(1, ordering: .relaxed).newValue
    if allows(count, isGuest: isGuest, keys: keys) { return true }
    word.pointee.wrappingSubtract(1, ordering: .relaxed)
    return false
  }

  /// Counts one more, whatever the bounds.
  func add(isGuest: Bool) {
    (used + (isGuest ? 0 : 1)).pointee.wrappingAdd(1, ordering: .relaxed)
  }

  func give(isGuest: Bool) {
    (used + (isGuest ? 0 : 1)).pointee.wrappingSubtract(1, ordering: .relaxed)
  }

  func reset() {
    for place in 0..<2 { (used + place).pointee.store(0, ordering: .relaxed) }
  }
}
