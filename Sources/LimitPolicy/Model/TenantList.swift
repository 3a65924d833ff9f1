// The tenants of a policy: those that its file names, in the file's order, and behind them those that only
// what is set at run time names, by name. A value whose copies share what neither has changed, so that a
// change of one tenant among 100,000 costs what one among a few hundred does.
//
//     pages ─▶ [page 0] [page 1] … each of 256 tenants of the file; then [guest, guest, …]

import LimitEngine

/// A policy's tenants, by place.
struct TenantList: RandomAccessCollection {
  private static let pageCount = 256

  /// The file's, all pages but the last one full. To change one copies its page and the list of pages.
  private var pages: [[PolicyFile.Tenant]]
  /// Places of the file's by name; shared by all copies, since none moves.
  private let places: [NameBytes: Int32]
  /// Whom the file does not name. To change one copies all of them.
  private var guests: [PolicyFile.Tenant] = []
  /// Limits whose mode is set for everybody at run time: that which the file writes for a tenant is not
  /// in force.
  var limitsOfSetModes: Set<Int> = []

  /// O(tenants).
  ///
  /// - Parameter tenants: the file's; each name once.
  init(_ tenants: [PolicyFile.Tenant]) {
    pages = stride(from: 0, to: tenants.count, by: Self.pageCount).map {
      Array(tenants[$0..<Swift.min($0 + Self.pageCount, tenants.count)])
    }
    places = Dictionary(
      uniqueKeysWithValues: tenants.enumerated().lazy.map { (NameBytes($1.name), Int32($0)) })
  }

  var startIndex: Int { 0 }
  var endIndex: Int { places.count + guests.count }

  /// What is in force for a tenant.
  subscript(place: Int) -> PolicyFile.Tenant {
    let tenant = written(at: place)
    return limitsOfSetModes.isEmpty ? tenant : tenant.withoutModes(ofLimits: limitsOfSetModes)
  }

  /// The same with what the file writes of modes.
  func written(at place: Int) -> PolicyFile.Tenant {
    place < places.count
      ? pages[place / Self.pageCount][place % Self.pageCount] : guests[place - places.count]
  }

  /// Says something else of a tenant that the file names.
  ///
  /// - Parameter tenant: as it is written.
  mutating func replace(at place: Int, by tenant: PolicyFile.Tenant) {
    pages[place / Self.pageCount][place % Self.pageCount] = tenant
  }

  var hasGuests: Bool { !guests.isEmpty }

  /// A tenant's place. Expected O(1), or O(guests) where the file does not name it.
  func place(named name: String) -> Int? {
    if let place = places[NameBytes(name)] { return Int(place) }
    return guestPlace(named: name).map { places.count + $0 }
  }

  private func guestPlace(named name: String) -> Int? {
    let count = name.utf8.count
    return guests.firstIndex { $0.name.utf8.count == count && $0.name.hasSameBytes(as: name) }
  }

  /// Adds a tenant that the file does not name, in its place by name. O(guests).
  mutating func add(guest: PolicyFile.Tenant) {
    // Mostly in their order: where all are laid over the file.
    let isLast = guests.last.map { $0.name < guest.name } ?? true
    let place = isLast ? guests.count : guests.firstIndex { guest.name < $0.name } ?? guests.count
    guests.insert(guest, at: place)
  }

  /// O(guests).
  mutating func remove(guestNamed name: String) {
    if let place = guestPlace(named: name) { guests.remove(at: place) }
  }
}

extension PolicyFile.Tenant {
  /// Without the modes that the file writes for some limits. What is set at run time stays.
  func withoutModes(ofLimits limits: Set<Int>) -> PolicyFile.Tenant {
    func isHidden(_ setting: Setting) -> Bool {
      setting.parameter == .mode && !setting.position.isRunTime
    }
    guard
      overrides.contains(where: {
        limits.contains($0.limit) && $0.settings.contains(where: isHidden)
      })
    else { return self }
    var tenant = self
    tenant.overrides = overrides.map { override in
      limits.contains(override.limit)
        ? Override(limit: override.limit, settings: override.settings.filter { !isHidden($0) })
        : override
    }
    return tenant
  }
}
