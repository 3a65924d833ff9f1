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
/// | rest | 0: not yet stored; otherwise the high half | whoever finds the tenant and 0 here | nothing |
/// | live | 0 ... the cap, and at most one more per thread at work | whoever promotes or claims a slot, after it did | nothing |
/// | reserved | 0 | nobody | nothing |
struct TenantDirectory: @unchecked Sendable {
  /// How far a tenant's place may lie from where its hash points.
  private static let reach = 64

  private let words: UnsafeMutablePointer<Word>
  private let capacity: UInt64
  let keysPerTenantMax: UInt64

  private static let wordsPerPlace = 4

  static func wordCount(places: Int) -> Int { places * wordsPerPlace }

  /// - Parameter words: `wordCount(places: capacity)` words that outlive this view.
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
      let seen = (words + Self.wordsPerPlace * Int(place)).pointee.load(ordering: .relaxed)
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
      case .known(let number):
        rememberRest(of: tenant, at: number)
        return number
      case .none: return .none
      case .free(let place):
        _ = (words + Self.wordsPerPlace * Int(place)).pointee.compareExchange(
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
    words + (Self.wordsPerPlace * Int(tenant.rawValue) + 2)
  }

  // MARK: Back from a number

  private func rest(_ tenant: TenantNumber) -> UnsafeMutablePointer<Word> {
    words + (Self.wordsPerPlace * Int(tenant.rawValue) + 1)
  }

  /// Everybody stores the same, so no order is needed.
  private func rememberRest(of tenant: Fingerprint, at number: TenantNumber) {
    let rest = rest(number)
    guard rest.pointee.load(ordering: .relaxed) == 0 else { return }
    rest.pointee.store(tenant.high, ordering: .relaxed)
  }

  /// The tenant of that number; `nil` where there is none, or where it was only just entered.
  func fingerprint(of number: TenantNumber) -> Fingerprint? {
    guard number.rawValue < capacity else { return nil }
    let low = (words + Self.wordsPerPlace * Int(number.rawValue)).pointee.load(ordering: .relaxed)
    let high = rest(number).pointee.load(ordering: .relaxed)
    return low == 0 || high == 0 ? nil : Fingerprint(low: low, high: high)
  }

  /// Sets all live counts to zero, to be counted anew. Not while threads decide.
  func resetCounts() {
    for place in 0..<capacity {
      live(TenantNumber(rawValue: UInt32(place))).pointee.store(0, ordering: .relaxed)
    }
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
