// Numbered places in memory that one owner writes.

/// Values in numbered places, one behind another. An array that is never shared: a write to it asks for
/// no count of references. One thread uses it.
struct PlaceMemory<Value: BitwiseCopyable>: ~Copyable {
  private var memory = UnsafeMutablePointer<Value>.allocate(capacity: 16)
  private var capacity = 16
  private(set) var count = 0

  deinit { memory.deallocate() }

  /// The value at `place`; the pointer is valid until something is appended.
  ///
  /// - Precondition: `place` is below `count`.
  @inline(__always) subscript(place: some BinaryInteger) -> UnsafeMutablePointer<Value> {
    assert(place >= 0 && place < count)
    return memory + Int(place)
  }

  /// Amortised O(1); what is there may move.
  mutating func append(_ value: Value) {
    if count == capacity {
      let larger = UnsafeMutablePointer<Value>.allocate(capacity: 2 * capacity)
      larger.initialize(from: memory, count: count)
      memory.deallocate()
      (memory, capacity) = (larger, 2 * capacity)
    }
    (memory + count).initialize(to: value)
    count += 1
  }
}
