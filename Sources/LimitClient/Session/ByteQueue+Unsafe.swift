// Bytes on their way to or from a socket: a growing buffer that is filled behind and emptied in
// front. One owner at a time.

internal import LimitProtocol

/// A queue of bytes in one block of memory. Grows by doubling, never shrinks; emptying it moves
/// nothing, so that what was read stays in place until the next `reserve`.
struct ByteQueue: ~Copyable {
  private var memory: UnsafeMutableRawBufferPointer
  private var head = 0
  private var tail = 0

  init(capacity: Int = 4096) {
    memory = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit { memory.deallocate() }

  var count: Int { tail - head }
  var isEmpty: Bool { head == tail }

  /// What is in the queue. Valid until the next `reserve`, and no longer than the queue.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[head..<tail]) }

  /// Room behind the last byte, of at least `count` bytes; `commit` says how many were filled.
  /// Amortised O(count). Moves the bytes where there is too little room.
  mutating func reserve(_ count: Int) -> UnsafeMutableRawBufferPointer {
    if isEmpty { (head, tail) = (0, 0) }
    if memory.count - tail < count { makeRoom(for: count) }
    return UnsafeMutableRawBufferPointer(rebasing: memory[tail...])
  }

  /// The first `count` bytes of the room become part of the queue.
  mutating func commit(_ count: Int) {
    precondition(count >= 0 && count <= memory.count - tail)
    tail += count
  }

  /// Takes `count` bytes from the front. O(1).
  mutating func consume(_ count: Int) {
    precondition(count >= 0 && count <= self.count)
    head += count
  }

  /// Adds a frame of `byteCount` bytes.
  mutating func append(byteCount: Int, _ encode: (inout WireWriter) -> Void) {
    var writer = WireWriter(reserve(byteCount))
    encode(&writer)
    commit(writer.count)
  }

  /// Adds bytes.
  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    reserve(bytes.count).copyMemory(from: bytes)
    commit(bytes.count)
  }

  private mutating func makeRoom(for count: Int) {
    let length = self.count
    if memory.count - length >= count && head >= length {
      memory.copyMemory(from: bytes)
    } else {
      let larger = UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(memory.count * 2, length + count), alignment: 16)
      larger.copyMemory(from: bytes)
      memory.deallocate()
      memory = larger
    }
    (head, tail) = (0, length)
  }
}
