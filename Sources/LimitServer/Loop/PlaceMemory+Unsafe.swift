// Numbered places in memory that one owner writes.

/// Values in numbered places, one behind another. An array that is never shared: a write to it asks for
/// no count of references. One thread uses it.
struct PlaceMemory<Value: BitwiseCopyable>: ~Copyable {
  private var memory = UnsafeMutableBufferPointer<Value>(start: nil, count: 0)
  private(set) var count = 0

  deinit { memory.deallocate() }

  /// The value at `place`; the pointer is valid until something is appended.
  ///
  /// - Precondition: `place` is below `count`.
  @inline(__always) subscript(place: some BinaryInteger) -> UnsafeMutablePointer<Value> {
    assert(place >= 0 && place < count)
    return memory.baseAddress.unsafelyUnwrapped + Int(place)
  }

  /// Amortised O(1); what is there may move.
  mutating func append(_ value: Value) {
    if count == memory.count {
      let larger = UnsafeMutableBufferPointer<Value>.allocate(capacity: max(16, 2 * count))
      _ = larger.update(fromContentsOf: memory[..<count])
      memory.deallocate()
      memory = larger
    }
    memory[count] = value
    count += 1
  }
}
