// Memory to receive into. One owner at a time.

/// A block of memory that goes with its owner.
final class ReceiveBuffer {
  let memory: UnsafeMutableRawBufferPointer

  init(byteCount: Int) { memory = .allocate(byteCount: byteCount, alignment: 64) }

  deinit { memory.deallocate() }
}
