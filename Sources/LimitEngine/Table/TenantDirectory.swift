// How many key buckets each tenant has live, and whether it may have more.

import Synchronization

/// A tenant's place in the directory: what slots remember of their owner.
struct TenantNumber: Equatable {
  let rawValue: UInt32

  /// No tenant in particular. Numbers have 24 bits.
  static let none = TenantNumber(rawValue: (1 << 24) - 1)
}

/// A fixed hash table from tenant to live count, written without locks. Tenants are entered when
/// they first need a key bucket, and stay: a number means the same tenant as long as the table of
/// slots lives. A tenant that finds no place has no key buckets of its own.
///
/// | word | legal values | written by | publishes |
/// |---|---|---|---|
/// | tenant | 0: free; otherwise the tenant's fingerprint (low half), for good | the first thread to need it | nothing |
/// | live | 0 ... the cap, and at most one more per thread at work | whoever promotes or claims a slot, after it did | nothing |
struct TenantDirectory: @unchecked Sendable {
  /// How far a tenant's place may lie from where its hash points.
  private static let reach = 64

  private let words: UnsafeMutablePointer<Word>
  private let capacity: UInt64
  let keysPerTenantMax: UInt64

  /// - Parameter words: `2 × capacity` zeroed words that outlive this view.
  init(words: UnsafeMutablePointer<Word>, capacity: Int, keysPerTenantMax: Int) {
    precondition(capacity < TenantNumber.none.rawValue, "at most 16,777,214 tenants have keys")
    self.words = words
    self.capacity = UInt64(capacity)
    self.keysPerTenantMax = UInt64(keysPerTenantMax)
  }

  /// What was found of a tenant: its number, a free place for it, or neither.
  private enum Finding {
    case known(TenantNumber)
    case free(UInt64)
    case none
  }

  private static func identity(_ tenant: Fingerprint) -> UInt64 { tenant.low == 0 ? 1 : tenant.low }

  /// Reads at most `reach` places, writes nothing. Wait-free.
  private func find(_ tenant: Fingerprint) -> Finding {
    var place = tenant.high.multipliedFullWidth(by: capacity).high
    for _ in 0..<Self.reach {
      // Relaxed: the word is its own whole message; a number refers to nothing else.
      let seen = (words + Int(2 * place)).pointee.load(ordering: .relaxed)
      if seen == Self.identity(tenant) { return .known(TenantNumber(rawValue: UInt32(place))) }
      if seen == 0 { return .free(place) }
      place = place + 1 == capacity ? 0 : place + 1
    }
    return .none
  }

  /// The tenant's number, entering it where it is new; `none` where there is no place. Lock-free:
  /// a further turn means that another tenant was entered.
  func number(of tenant: Fingerprint) -> TenantNumber {
    while true {
      switch find(tenant) {
      case .known(let number): return number
      case .none: return .none
      case .free(let place):
        _ = (words + Int(2 * place)).pointee.compareExchange(
          expected: 0, desired: Self.identity(tenant), ordering: .relaxed)
      }
    }
  }

  /// Whether the tenant may have one more key bucket. Writes nothing.
  func hasRoom(for tenant: Fingerprint) -> Bool {
    switch find(tenant) {
    case .known(let number): liveCount(of: number) < Int(clamping: keysPerTenantMax)
    case .free: keysPerTenantMax > 0
    case .none: false
    }
  }

  /// How many key buckets the tenant has live. Writes nothing.
  func liveCount(of tenant: Fingerprint) -> Int {
    if case .known(let number) = find(tenant) { return liveCount(of: number) }
    return 0
  }

  private func live(_ tenant: TenantNumber) -> UnsafeMutablePointer<Word> {
    words + (2 * Int(tenant.rawValue) + 1)
  }

  func countArrival(of tenant: TenantNumber) {
    guard tenant != .none else { return }
    live(tenant).pointee.wrappingAdd(1, ordering: .relaxed)
  }

  func countDeparture(of tenant: TenantNumber) {
    guard tenant != .none else { return }
    live(tenant).pointee.wrappingSubtract(1, ordering: .relaxed)
  }

  func liveCount(of tenant: TenantNumber) -> Int {
    guard tenant != .none else { return 0 }
    return Int(Int64(bitPattern: live(tenant).pointee.load(ordering: .relaxed)))
  }
}
