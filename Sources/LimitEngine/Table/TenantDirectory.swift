// Which tenants have buckets, how many, and what number slots know them by.

import Synchronization

/// A tenant's place in the directory: what slots remember of their owner.
struct TenantNumber: Equatable {
  let rawValue: UInt32

  /// No tenant in particular. Numbers have 24 bits.
  static let none = TenantNumber(rawValue: (1 << 24) - 1)
}

/// A fixed hash table from tenant to count, written without locks (+Enter says how). A tenant has a
/// place from its first bucket until its last one is gone; tenants that the rules in force name keep
/// theirs (`Engine.setAside`).
///
/// Places come in sets of eight, 256 bytes each, laid out by word:
///
///     line 0   identity ×8      line 2   count ×8
///     line 1   rest ×8          line 3   top ×8
///
/// A tenant may stand in any of four sets. There are twice as many places as tenants may have one,
/// so that there is always a free one in some of them.
///
/// | word | legal values | written by | publishes |
/// |---|---|---|---|
/// | identity | 0: free; else 0–61: 62 bits of the tenant's fingerprint, 62: named, 63: pending | the enterer; rivals end a pending one; whoever closes; `name`, `unname` | for a settled one: rest and top |
/// | rest, top | the other bits of the fingerprint | whoever enters or settles, all the same | nothing |
/// | count | 0–30: key buckets, 31–61: all buckets and whoever is about to take one, 63: closed | arrivals and departures; the closer | a closed one: that the place changes hands |
struct TenantDirectory: @unchecked Sendable {
  static let placesPerSet = 8
  static let sets = 4
  private static let wordsPerSet = 32

  static let pending: UInt64 = 1 << 63
  static let named: UInt64 = 1 << 62
  private static let idMask = named - 1

  static let closed: UInt64 = 1 << 63
  static let oneKey: UInt64 = 1
  static let oneBucket: UInt64 = 1 << 31
  private static let keysMask = oneBucket - 1

  private let words: UnsafeMutablePointer<Word>
  private let setCount: UInt64
  /// How many places guests have: a word in the region.
  private let guestPlaces: UnsafeMutablePointer<Word>
  /// How many they may have: set with the rules. Relaxed: only a bound.
  let guestPlacesMax: UnsafeMutablePointer<Word>
  let keysPerTenantMax: UInt64

  /// - Parameter words: `wordCount(places:)` words that outlive this view, as do the others.
  init(
    words: UnsafeMutablePointer<Word>, places: Int, guestPlaces: UnsafeMutablePointer<Word>,
    guestPlacesMax: UnsafeMutablePointer<Word>, keysPerTenantMax: Int
  ) {
    self.words = words
    setCount = UInt64(places / Self.placesPerSet)
    self.guestPlaces = guestPlaces
    self.guestPlacesMax = guestPlacesMax
    self.keysPerTenantMax = min(UInt64(keysPerTenantMax), Self.keysMask - 1)
  }

  /// Places for this many tenants.
  static func places(forTenants tenants: Int) -> Int {
    (2 * tenants + placesPerSet - 1) / placesPerSet * placesPerSet
  }

  static func wordCount(places: Int) -> Int { places / placesPerSet * wordsPerSet }

  var placeCount: Int { Int(setCount) * Self.placesPerSet }

  // MARK: Words

  private func word(_ place: Int, _ line: Int) -> UnsafeMutablePointer<Word> {
    words + (place / Self.placesPerSet * Self.wordsPerSet + line * 8 + place % Self.placesPerSet)
  }

  func identity(_ place: Int) -> UnsafeMutablePointer<Word> { word(place, 0) }
  func rest(_ place: Int) -> UnsafeMutablePointer<Word> { word(place, 1) }
  func count(_ place: Int) -> UnsafeMutablePointer<Word> { word(place, 2) }
  func top(_ place: Int) -> UnsafeMutablePointer<Word> { word(place, 3) }

  static func id(_ tenant: Fingerprint) -> UInt64 {
    let id = tenant.low & idMask
    return id == 0 ? 1 : id
  }

  static func id(ofIdentity word: UInt64) -> UInt64 { word & idMask }

  static func isSettled(_ word: UInt64) -> Bool { word != 0 && word & pending == 0 }

  /// The first place of one of the four sets of a tenant.
  func firstPlace(of id: UInt64, set number: Int) -> Int {
    let turn = UInt64(truncatingIfNeeded: 16 * number)
    let mixed = (id << turn | id >> (64 - turn)) &* 0x9e37_79b9_7f4a_7c15
    return Int(mixed.multipliedFullWidth(by: setCount).high) * Self.placesPerSet
  }

  // MARK: Finding

  /// What was found of a tenant.
  enum Finding {
    case known(Int)
    /// Being entered by another thread.
    case pending(Int)
    case free(Int)
    case none
  }

  /// Reads at most 32 places, writes nothing. Wait-free.
  func find(_ id: UInt64) -> Finding {
    var finding = Finding.none
    for number in 0..<Self.sets {
      let first = firstPlace(of: id, set: number)
      for place in first..<first + Self.placesPerSet {
        // Acquire: pairs with the release that settled it, for rest and top.
        let seen = identity(place).pointee.load(ordering: .acquiring)
        if seen == 0 {
          if case .none = finding { finding = .free(place) }
        } else if seen & Self.idMask == id {
          if seen & Self.pending == 0 { return .known(place) }
          finding = .pending(place)
        }
      }
    }
    return finding
  }

  /// Whether the tenant may have one more bucket as far as its place and its own keys go. Writes
  /// nothing.
  func hasRoom(for tenant: Fingerprint, isGuest: Bool, isKey: Bool) -> Bool {
    if isKey && keysPerTenantMax == 0 { return false }
    switch find(Self.id(tenant)) {
    case .known(let place): return !isKey || UInt64(keys(at: place)) < keysPerTenantMax
    case .pending: return true
    case .free: return !isGuest || guestCount < guestPlacesMax.pointee.load(ordering: .relaxed)
    case .none: return false
    }
  }

  /// Whether a guest has a place or may take one. Writes nothing.
  func hasPlace(for tenant: Fingerprint) -> Bool {
    hasRoom(for: tenant, isGuest: true, isKey: false)
  }

  /// How many key buckets the tenant has live.
  func liveCount(of tenant: Fingerprint) -> Int {
    if case .known(let place) = find(Self.id(tenant)) { return keys(at: place) }
    return 0
  }

  /// Whether the rules in force name the tenant.
  func isNamed(_ tenant: Fingerprint) -> Bool {
    guard case .known(let place) = find(Self.id(tenant)) else { return false }
    return identity(place).pointee.load(ordering: .relaxed) & Self.named != 0
  }

  func keys(at place: Int) -> Int {
    Int(count(place).pointee.load(ordering: .relaxed) & Self.keysMask)
  }

  /// All buckets of the tenant at `place`, with one more while the rules name it.
  func buckets(at place: Int) -> Int {
    Int((count(place).pointee.load(ordering: .relaxed) & ~Self.closed) / Self.oneBucket)
  }

  /// The tenant of that number, which has a bucket or is named; `nil` where there is none.
  func fingerprint(of number: TenantNumber) -> Fingerprint? {
    guard number.rawValue < placeCount else { return nil }
    let place = Int(number.rawValue)
    let seen = identity(place).pointee.load(ordering: .acquiring)
    guard seen != 0, seen & Self.pending == 0 else { return nil }
    return Fingerprint(
      low: top(place).pointee.load(ordering: .relaxed) & ~Self.idMask | seen & Self.idMask,
      high: rest(place).pointee.load(ordering: .relaxed))
  }

  // MARK: Guests' places

  var guestCount: UInt64 { guestPlaces.pointee.load(ordering: .relaxed) }

  /// Relaxed: the count is its own whole message. Never more than the bound: who makes it more,
  /// takes that back and goes without.
  func takeGuestPlace() -> Bool {
    let count = guestPlaces.pointee.wrappingAdd(1, ordering: .relaxed).newValue
    if count <= guestPlacesMax.pointee.load(ordering: .relaxed) { return true }
    giveGuestPlace()
    return false
  }

  func addGuestPlace() { guestPlaces.pointee.wrappingAdd(1, ordering: .relaxed) }

  func giveGuestPlace() { guestPlaces.pointee.wrappingSubtract(1, ordering: .relaxed) }

  func resetGuestCount(to count: Int) {
    guestPlaces.pointee.store(UInt64(count), ordering: .relaxed)
  }
}
