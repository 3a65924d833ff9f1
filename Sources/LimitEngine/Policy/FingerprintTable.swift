// What a policy set knows by name, by the names' fingerprints.

/// Something that a `FingerprintTable` holds.
protocol Fingerprinted: BitwiseCopyable {
  /// Stands for its name.
  var fingerprint: Fingerprint { get }
}

/// A policy's place under its name.
struct NamedPolicy: Fingerprinted {
  let fingerprint: Fingerprint
  let index: PolicyIndex
}

/// An open-addressing hash table, at most half full, over memory that its holder frees. While nobody changes
/// it any thread may read it.
struct FingerprintTable<Element: Fingerprinted> {
  private let places: UnsafeMutableBufferPointer<Element?>
  private(set) var count = 0

  /// Builds the table. Where a name is given twice, the first one stays.
  ///
  /// - Parameter capacity: of elements; two places each.
  init(_ elements: some Sequence<Element>, capacity: Int) {
    places = .allocate(capacity: max(2, 2 * capacity))
    places.initialize(repeating: nil)
    for element in elements where find(element.fingerprint) == nil { set(element) }
  }

  func deallocate() { places.deallocate() }

  /// Expected O(1).
  func find(_ fingerprint: Fingerprint) -> Element? { places[place(of: fingerprint)] }

  /// Calls `body` with each element. O(places).
  func forEach(_ body: (Element) -> Void) {
    for case let element? in places { body(element) }
  }

  /// Whether so many elements may be added.
  func hasRoom(for count: Int) -> Bool { 2 * (self.count + count) <= places.count }

  /// Adds an element, or replaces the one of that fingerprint. Expected O(1).
  ///
  /// - Precondition: there is room.
  mutating func set(_ element: Element) {
    let place = place(of: element.fingerprint)
    if places[place] == nil {
      precondition(hasRoom(for: 1), "a table is at most half full")
      count += 1
    }
    places[place] = element
  }

  /// Removes the element of that fingerprint, if there is one. Expected O(1).
  mutating func remove(_ fingerprint: Fingerprint) {
    var free = place(of: fingerprint)
    guard places[free] != nil else { return }
    count -= 1
    places[free] = nil
    // Whoever would now be looked for at a free place moves there. Ends because half are free.
    var place = next(free)
    while let element = places[place] {
      let home = home(of: element.fingerprint)
      if distance(home, place) >= distance(free, place) {
        places[free] = element
        places[place] = nil
        free = place
      }
      place = next(place)
    }
  }

  /// Where `fingerprint` is, or the free place where it would go. Ends because half the places
  /// are free.
  private func place(of fingerprint: Fingerprint) -> Int {
    var place = home(of: fingerprint)
    while let element = places[place], element.fingerprint != fingerprint { place = next(place) }
    return place
  }

  private func home(of fingerprint: Fingerprint) -> Int {
    Int(fingerprint.high.multipliedFullWidth(by: UInt64(places.count)).high)
  }

  private func next(_ place: Int) -> Int { place + 1 == places.count ? 0 : place + 1 }

  /// From one place on to another, round the end.
  private func distance(_ from: Int, _ to: Int) -> Int {
    to >= from ? to - from : to - from + places.count
  }
}
