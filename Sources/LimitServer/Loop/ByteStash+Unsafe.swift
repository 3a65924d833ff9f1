// Bytes that wait. Most connections have none most of the time, and then no memory for them.

/// A run of bytes, taken from the front. One thread uses it.
struct ByteStash: ~Copyable {
  /// Memory up to this size is kept when the stash becomes empty.
  private static let keptBytes = 512

  private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var start = 0
  private var end = 0

  deinit { memory.deallocate() }

  @inline(__always) var isEmpty: Bool { start == end }
  var count: Int { end - start }
  /// Bytes allocated, all of which were reserved.
  var byteCount: Int { memory.count }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[start..<end]) }

  /// Replaces what is there, which `bytes` must not point into.
  ///
  /// - Parameter account: pays for the memory.
  /// - Returns: whether there is memory; the stash is empty otherwise.
  mutating func replace(with bytes: UnsafeRawBufferPointer, _ account: UserAccount) -> Bool {
    start = 0
    end = 0
    let isTooLarge = bytes.count <= Self.keptBytes && memory.count > Self.keptBytes
    if memory.count < bytes.count || isTooLarge {
      memory.deallocate()
      account.giveBack(memory.count)
      memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
      if !bytes.isEmpty {
        let needed = max(Self.keptBytes, bytes.count)
        guard account.reserve(needed) else { return false }
        memory = .allocate(byteCount: needed, alignment: 16)
      }
    }
    memory.copyMemory(from: bytes)
    end = bytes.count
    return true
  }

  mutating func removeFirst(_ count: Int, _ account: UserAccount) {
    start += count
    if start == end { removeAll(account) }
  }

  mutating func removeAll(_ account: UserAccount) {
    // Nothing is reserved for nothing.
    _ = replace(with: UnsafeRawBufferPointer(start: nil, count: 0), account)
  }
}
