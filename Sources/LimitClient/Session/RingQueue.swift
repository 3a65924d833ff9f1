// First in, first out, in a ring that only grows. One owner at a time.

/// A queue of elements. Amortised O(1) at both ends; allocates only when it grows.
struct RingQueue<Element> {
  private var elements: [Element?] = []
  private var head = 0
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  var first: Element? { count == 0 ? nil : elements[head] }

  mutating func append(_ element: Element) {
    if count == elements.count { grow() }
    elements[(head + count) & (elements.count - 1)] = element
    count += 1
  }

  mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = elements[head].take()
    head = (head + 1) & (elements.count - 1)
    count -= 1
    return element
  }

  private mutating func grow() {
    var larger: [Element?] = []
    larger.reserveCapacity(max(16, elements.count * 2))
    for offset in 0..<count { larger.append(elements[(head + offset) & (elements.count - 1)]) }
    while larger.count < max(16, elements.count * 2) { larger.append(nil) }
    elements = larger
    head = 0
  }
}
