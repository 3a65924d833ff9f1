// First in, first out, in a ring that only grows. One owner at a time.

/// A queue of elements. Amortised O(1) at both ends; allocates only when it grows.
struct RingQueue<Element> {
  private var elements: [Element?] = []
  private var head = 0
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  var last: Element? { count == 0 ? nil : elements[place(count - 1)] }

  /// The element that `offset` others stand in front of. O(1).
  ///
  /// - Precondition: `offset` is below `count`.
  subscript(offset: Int) -> Element {
    get { elements[place(offset)].unsafelyUnwrapped }
    set { elements[place(offset)] = newValue }
  }

  mutating func append(_ element: consuming Element) {
    if count == elements.count { grow() }
    elements[place(count)] = element
    count += 1
  }

  mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = elements[head].take()
    head = place(1)
    count -= 1
    return element
  }

  mutating func popLast() -> Element? {
    guard count > 0 else { return nil }
    count -= 1
    return elements[place(count)].take()
  }

  /// The size of the ring is a power of two, so this is the remainder.
  private func place(_ offset: Int) -> Int { (head + offset) & (elements.count - 1) }

  private mutating func grow() {
    let grown = max(16, elements.count * 2)
    var larger: [Element?] = []
    larger.reserveCapacity(grown)
    for offset in 0..<count { larger.append(elements[place(offset)]) }
    while larger.count < grown { larger.append(nil) }
    elements = larger
    head = 0
  }
}
