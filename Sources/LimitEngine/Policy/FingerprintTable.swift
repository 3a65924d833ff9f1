// What a policy set knows by name, by the names' fingerprints: built once, then only read.

/// Something that a `FingerprintTable` holds.
protocol Fingerprinted: BitwiseCopyable {
  /// Stands for its name.
  var fingerprint: Fingerprint { get }
}

extension Tenant: Fingerprinted {}

/// A policy's place under its name.
struct NamedPolicy: Fingerprinted {
  let fingerprint: Fingerprint
  let index: PolicyIndex
}

/// An immutable open-addressing hash table, at most half full. Any thread may read it.
struct FingerprintTable<Element: Fingerprinted>: ~Copyable, @unchecked Sendable {
  private let places: UnsafeMutableBufferPointer<Element?>

  /// Builds the table. Where a name is given twice, the first one stays.
  init(_ elements: some Sequence<Element>, count: Int) {
    places = .allocate(capacity: max(2, 2 * count))
    places.initialize(repeating: nil)
    for element in elements {
      let place = place(of: element.fingerprint)
      if places[place] == nil { places[place] = element }
    }
  }

  deinit { places.deallocate() }

  /// Expected O(1).
  func find(_ fingerprint: Fingerprint) -> Element? { places[place(of: fingerprint)] }

  /// Calls `body` with each element. O(places).
  func forEach(_ body: (Element) -> Void) {
    for case let element? in places { body(element) }
  }

  /// Where `fingerprint` is, or the free place where it would go. Ends because half the places
  /// are free.
  private func place(of fingerprint: Fingerprint) -> Int {
    let count = UInt64(places.count)
    var place = Int(fingerprint.high.multipliedFullWidth(by: count).high)
    while let element = places[place], element.fingerprint != fingerprint {
      place = place + 1 == places.count ? 0 : place + 1
    }
    return place
  }
}
