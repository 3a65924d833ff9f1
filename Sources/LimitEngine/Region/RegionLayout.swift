// Where everything lies that must outlive the process: one block of memory, sized here.
//
//     offset 0   header      4,096 bytes: what the block is (RegionHeader.swift)
//                counters    per table: whose buckets there are, and how many in which shard
//                registry    limits that slots name by number: one pair of words each
//                directory   tenants that slots name by number: four words each, by sets of eight
//                globals     buckets of 128 bytes (Table/SlotStorage.swift)
//                tenants     the same
//                keys        the same
//
// Each part begins at a multiple of 4,096 bytes. All words are 64 bits, native byte order, atomic.
// Pure arithmetic; any thread.

/// The sizes of a region's parts, and where they begin.
public struct RegionLayout: Hashable, Sendable {
  /// Of what the bytes mean: above, that of the header, the parts and the slots; below, that of the
  /// words in them (`BucketRecord.version`).
  public static let version: UInt64 = 5 << 32 | BucketRecord.version

  /// A version as in "5.4".
  public static func text(ofVersion version: UInt64) -> String {
    "\(version >> 32).\(version & 0xffff_ffff)"
  }

  /// Buckets of the three tables, four slots of 32 bytes each.
  public let keyBuckets: Int
  public let tenantBuckets: Int
  public let globalBuckets: Int
  /// Places of the tenant directory: two for each tenant that may have one.
  public let directoryPlaces: Int

  /// Bytes of the whole region.
  public let byteCount: Int

  let countersOffset: Int
  let registryOffset: Int
  let directoryOffset: Int
  let globalsOffset: Int
  let tenantsOffset: Int
  let keysOffset: Int

  static let pageBytes = 4_096
  static let bucketBytes = Slot.wordsPerBucket * 8
  /// A table's counters: a pair of cache lines for the sweeping hand and its rest, guests' and named
  /// tenants' buckets; then its shards.
  static let wordsPerTable = 16 + Shards.wordCount
  /// How many places in the directory guests have; behind the tables' counters.
  static let guestPlacesWord = Scope.allCases.count * wordsPerTable
  static let countersWords = guestPlacesWord + 16
  /// Far beyond any machine's memory, and small enough for sums of sizes not to overflow.
  private static let partMax = 1 << 44

  /// `nil` where a part is empty or larger than numbers of slots and tenants can tell.
  init?(keyBuckets: Int, tenantBuckets: Int, globalBuckets: Int, directoryPlaces: Int) {
    for buckets in [keyBuckets, tenantBuckets, globalBuckets] {
      guard (1...Self.partMax / Self.bucketBytes).contains(buckets) else { return nil }
    }
    guard (1..<Int(TenantNumber.none.rawValue)).contains(directoryPlaces),
      directoryPlaces % TenantDirectory.placesPerSet == 0
    else { return nil }
    self.keyBuckets = keyBuckets
    self.tenantBuckets = tenantBuckets
    self.globalBuckets = globalBuckets
    self.directoryPlaces = directoryPlaces
    var end = Self.pageBytes
    func part(_ bytes: Int) -> Int {
      defer { end += (bytes + Self.pageBytes - 1) / Self.pageBytes * Self.pageBytes }
      return end
    }
    countersOffset = part(Self.countersWords * 8)
    registryOffset = part(LimitRegistry.wordCount * 8)
    directoryOffset = part(TenantDirectory.wordCount(places: directoryPlaces) * 8)
    globalsOffset = part(globalBuckets * Self.bucketBytes)
    tenantsOffset = part(tenantBuckets * Self.bucketBytes)
    keysOffset = part(keyBuckets * Self.bucketBytes)
    byteCount = end
  }

  /// The layout of a fresh engine's region.
  ///
  /// - Precondition: at most 8,388,600 tenants; tables below 16 TiB.
  public init(_ configuration: Engine.Configuration) {
    func buckets(_ slots: Int) -> Int { max(1, (slots + Slot.perBucket - 1) / Slot.perBucket) }
    let layout = RegionLayout(
      keyBuckets: buckets(configuration.keySlots),
      tenantBuckets: buckets(configuration.tenantSlots), globalBuckets: buckets(Engine.globalSlots),
      directoryPlaces: TenantDirectory.places(forTenants: configuration.tenantsMax))
    precondition(layout != nil, "tables are below 16 TiB, with at most 8,388,600 tenants")
    self = layout!
  }

  /// Buckets of the table of one scope.
  func buckets(of scope: Scope) -> Int {
    switch scope {
    case .key: keyBuckets
    case .tenant: tenantBuckets
    case .global: globalBuckets
    }
  }

  func offset(of scope: Scope) -> Int {
    switch scope {
    case .key: keysOffset
    case .tenant: tenantsOffset
    case .global: globalsOffset
    }
  }
}
