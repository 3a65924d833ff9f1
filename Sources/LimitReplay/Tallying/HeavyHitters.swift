// The keys refused most, found in one pass over any number of keys in memory of fixed size.
//
// A frequent-items sketch: counters for the keys seen; when they run out, the median count is
// taken off all of them and those at zero or below go. What was taken off in all bounds the error.
// Source: Anderson, Bevan, Lang, Liberty, Rhodes, Thaler: "A High-Performance Algorithm for
// Identifying Frequent Items in Data Streams" (2017), after Misra and Gries (1982).

import LimitEngine

/// Counts keys. Exact until more than `capacity` different keys were added.
struct HeavyHitters {
  struct Entry: Equatable {
    /// Cut to `Tally.nameBytesMax`.
    let tenant: [UInt8]
    let key: [UInt8]
    /// The key was added at least this often, and at most `HeavyHitters.error` times more.
    var count: Int
  }

  static let capacity = 10_000

  /// By how much a count may fall short; 0 while every count is exact.
  private(set) var error = 0
  private let capacity: Int
  private var entries: [Fingerprint: Entry] = [:]

  init(capacity: Int = Self.capacity) { self.capacity = capacity }

  /// Amortized O(1).
  mutating func add(
    _ fingerprint: Fingerprint,
    tenant: ArraySlice<UInt8>,
    key: ArraySlice<UInt8>
  ) {
    if let index = entries.index(forKey: fingerprint) {
      entries.values[index].count += 1
      return
    }
    if entries.count >= capacity {
      makeRoom()
    }
    entries[fingerprint] = Entry(
      tenant: Array(tenant.prefix(Tally.nameBytesMax)),
      key: Array(key.prefix(Tally.nameBytesMax)),
      count: 1
    )
  }

  private mutating func makeRoom() {
    let counts = entries.values.map(\.count).sorted()
    let median = counts[counts.count / 2]
    error += median
    entries = entries.compactMapValues { entry in
      guard entry.count > median else { return nil }
      var entry = entry
      entry.count -= median
      return entry
    }
  }

  /// How many keys are counted now.
  var count: Int { entries.count }

  /// The keys added most, the first `count` of them; ties by name.
  func top(_ count: Int) -> [Entry] {
    let sorted = entries.values.sorted {
      if $0.count != $1.count { return $0.count > $1.count }
      if $0.tenant != $1.tenant { return $0.tenant.lexicographicallyPrecedes($1.tenant) }
      return $0.key.lexicographicallyPrecedes($1.key)
    }
    return Array(sorted.prefix(count))
  }
}
