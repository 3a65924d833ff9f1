// A bounded map that forgets what was touched longest ago. A value; one thread uses it.

import LimitEngine

/// Values by fingerprint, at most `capacity` of them. O(1) throughout.
struct RecencyTable<Value> {
  private struct Node {
    var key: Fingerprint
    var value: Value
    /// Its neighbours by the time of the last touch; -1 at the ends.
    var older: Int
    var newer: Int
  }

  private let capacity: Int
  private var places: [Fingerprint: Int] = [:]
  private var nodes: [Node] = []
  private var oldest = -1
  private var newest = -1

  /// - Precondition: `capacity` is at least 1.
  init(capacity: Int) {
    precondition(capacity > 0, "a table has room")
    self.capacity = capacity
  }

  var count: Int { nodes.count }

  /// What is known of `key`; does not touch it.
  subscript(key: Fingerprint) -> Value? { places[key].map { nodes[$0].value } }

  /// Changes the value of `key`, which is the one touched last then.
  ///
  /// - Parameter fresh: the value to begin with where none is known; that of another key may be
  ///   forgotten for it.
  mutating func update(_ key: Fingerprint, else fresh: () -> Value, _ body: (inout Value) -> Void) {
    let place: Int
    if let known = places[key] {
      place = known
      unlink(place)
    } else if nodes.count < capacity {
      place = nodes.count
      nodes.append(Node(key: key, value: fresh(), older: -1, newer: -1))
    } else {
      place = oldest
      unlink(place)
      places[nodes[place].key] = nil
      nodes[place].key = key
      nodes[place].value = fresh()
    }
    places[key] = place
    link(place)
    body(&nodes[place].value)
  }

  private mutating func unlink(_ place: Int) {
    let (older, newer) = (nodes[place].older, nodes[place].newer)
    if older >= 0 { nodes[older].newer = newer } else { oldest = newer }
    if newer >= 0 { nodes[newer].older = older } else { newest = older }
  }

  private mutating func link(_ place: Int) {
    nodes[place].older = newest
    nodes[place].newer = -1
    if newest >= 0 { nodes[newest].newer = place } else { oldest = place }
    newest = place
  }
}
