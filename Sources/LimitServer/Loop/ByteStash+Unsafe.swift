// Bytes that wait. Most connections have none most of the time, and then no memory for them.

/// A run of bytes, taken from the front. One thread uses it.
struct ByteStash: ~Copyable {
  /// Memory up to this size is kept when the stash becomes empty.
  private static let keptBytes = 512

  private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var start = 0
  private var end = 0

  deinit { memory.deallocate() }

  var isEmpty: Bool { @inline(__always) get { start == end } }
  var count: Int { end - start }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[start..<end]) }

  /// Replaces what is there, which `bytes` must not point into.
  mutating func replace(with bytes: UnsafeRawBufferPointer) {
    start = 0
    end = 0
    if memory.count < bytes.count || (bytes.isEmpty && memory.count > Self.keptBytes) {
      memory.deallocate()
      memory =
        bytes.isEmpty
        ? UnsafeMutableRawBufferPointer(start: nil, count: 0)
        : .allocate(byteCount: max(Self.keptBytes, bytes.count), alignment: 16)
    }
    memory.copyMemory(from: bytes)
    end = bytes.count
  }

  mutating func removeFirst(_ count: Int) {
    start += count
    if start == end { removeAll() }
  }

  mutating func removeAll() { replace(with: UnsafeRawBufferPointer(start: nil, count: 0)) }
}
