// Reads little-endian fields from bytes that somebody else sent. Every read checks that the bytes
// are there.

/// A cursor over the body of a frame. The bytes must outlive it.
@frozen public struct WireReader {
  /// The next byte; of no meaning where none is left.
  @usableFromInline var place: UnsafeRawPointer
  @usableFromInline var left: Int

  /// Bytes not read yet.
  @inlinable @inline(__always) public var count: Int { left }

  @inlinable @inline(__always) public init(_ bytes: UnsafeRawBufferPointer) {
    // Any address does for no bytes.
    place = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
    left = bytes.count
  }

  /// The next number of the type's width, or `nil` where fewer bytes are left.
  @inlinable @inline(__always)
  public mutating func read<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type) -> Number?
  {
    let width = MemoryLayout<Number>.size
    guard left >= width else { return nil }
    let value = place.loadUnaligned(as: Number.self)
    skip(width)
    return Number(littleEndian: value)
  }

  /// The next `length` bytes, or `nil` where fewer are left.
  @inlinable @inline(__always)
  public mutating func readBytes(_ length: Int) -> UnsafeRawBufferPointer? {
    guard length >= 0, length <= left else { return nil }
    let bytes = UnsafeRawBufferPointer(start: place, count: length)
    skip(length)
    return bytes
  }

  /// All bytes that are left.
  @inlinable @inline(__always)
  public mutating func readRest() -> UnsafeRawBufferPointer {
    let bytes = UnsafeRawBufferPointer(start: place, count: left)
    skip(left)
    return bytes
  }

  /// `length` is at most `left`, so nothing overflows.
  @inlinable @inline(__always) mutating func skip(_ length: Int) {
    place += length
    left &-= length
  }
}
