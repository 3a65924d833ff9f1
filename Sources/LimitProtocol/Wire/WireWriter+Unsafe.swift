// Writes little-endian fields into memory that the caller has.

/// A cursor over memory to be filled. The caller sees to the room: what frames need is known before
/// they are written (`byteCount`).
@frozen public struct WireWriter {
  @usableFromInline let memory: UnsafeMutableRawBufferPointer
  @usableFromInline var written = 0

  @inlinable @inline(__always) public init(_ memory: UnsafeMutableRawBufferPointer) {
    self.memory = memory
  }

  /// Bytes written.
  @inlinable @inline(__always) public var count: Int { written }

  /// Bytes that still have room.
  @inlinable @inline(__always) public var room: Int { memory.count &- written }

  /// What was written.
  @inlinable public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: memory[..<written])
  }

  /// Room for `length` bytes, which then count as written.
  /// - Precondition: there is room for them.
  @inlinable @inline(__always)
  mutating func advance(by length: Int) -> UnsafeMutableRawPointer {
    precondition(length <= room, "a frame needs room that its writer has not")
    let place = memory.baseAddress.unsafelyUnwrapped + written
    written &+= length
    return place
  }

  @inlinable @inline(__always)
  public mutating func write<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number) {
    advance(by: MemoryLayout<Number>.size)
      .storeBytes(of: number.littleEndian, as: Number.self)
  }

  @inlinable @inline(__always)
  public mutating func write(bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    advance(by: bytes.count).copyMemory(from: source, byteCount: bytes.count)
  }

  /// Forgets what was written.
  @inlinable public mutating func removeAll() { written = 0 }
}
