// What occurs most among any number of different things, in memory of fixed size.
//
// Source: Metwally, Agrawal, El Abbadi: "Efficient Computation of Frequent and Top-k Elements in Data
// Streams" (2005), weighted: who finds no counter takes over the smallest one and its count, which is
// then the error. A value; whoever has the monitor's lock uses it.

import LimitEngine

/// Counts things by fingerprint. Exact until there are more than `capacity` of them.
struct SpaceSaving<Label> {
  struct Counter {
    var label: Label
    /// At least as often as it was counted.
    var count: UInt64
    /// `count` may be too high by that much.
    var error: UInt64
    fileprivate var key: Fingerprint
  }

  private let capacity: Int
  /// A heap: no counter is above a smaller one.
  private var heap: [Counter] = []
  private var places: [Fingerprint: Int] = [:]

  /// - Precondition: `capacity` is at least 1.
  init(capacity: Int) {
    precondition(capacity > 0, "a sketch has counters")
    self.capacity = capacity
  }

  /// All counters, in no order. O(counters).
  var counters: [Fingerprint: Counter] {
    Dictionary(uniqueKeysWithValues: heap.map { ($0.key, $0) })
  }

  /// Counts `weight` of what `key` stands for. O(log counters).
  ///
  /// - Parameter label: asked for where it is not counted yet.
  mutating func add(_ key: Fingerprint, weight: UInt64, label: () -> Label) {
    if let place = places[key] {
      heap[place].count += weight
      sink(place)
    } else if heap.count < capacity {
      heap.append(Counter(label: label(), count: weight, error: 0, key: key))
      places[key] = heap.count - 1
      rise(heap.count - 1)
    } else {
      places[heap[0].key] = nil
      let least = heap[0].count
      heap[0] = Counter(label: label(), count: least + weight, error: least, key: key)
      places[key] = 0
      sink(0)
    }
  }

  private mutating func rise(_ start: Int) {
    var place = start
    while place > 0, heap[place].count < heap[(place - 1) / 2].count {
      exchange(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func sink(_ start: Int) {
    var place = start
    while true {
      var least = place
      for child in [2 * place + 1, 2 * place + 2]
      where child < heap.count && heap[child].count < heap[least].count { least = child }
      guard least != place else { return }
      exchange(place, least)
      place = least
    }
  }

  private mutating func exchange(_ one: Int, _ other: Int) {
    heap.swapAt(one, other)
    places[heap[one].key] = one
    places[heap[other].key] = other
  }
}
