// Reads little-endian fields from bytes that somebody else sent. Every read checks that the bytes
// are there.

/// A cursor over the body of a frame. The bytes must outlive it.
@frozen public struct WireReader {
  @usableFromInline var rest: UnsafeRawBufferPointer

  @inlinable @inline(__always) public init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

  /// Bytes not read yet.
  @inlinable @inline(__always) public var count: Int { rest.count }

  /// The next number of the type's width, or `nil` where fewer bytes are left.
  @inlinable @inline(__always)
  public mutating func read<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type) -> Number?
  {
    let width = MemoryLayout<Number>.size
    guard rest.count >= width else { return nil }
    let value = rest.loadUnaligned(as: Number.self)
    rest = UnsafeRawBufferPointer(rebasing: rest[width...])
    return Number(littleEndian: value)
  }

  /// The next `count` bytes, or `nil` where fewer are left.
  @inlinable @inline(__always)
  public mutating func readBytes(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count <= rest.count else { return nil }
    let bytes = UnsafeRawBufferPointer(rebasing: rest[..<count])
    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    return bytes
  }

  /// All bytes that are left.
  @inlinable @inline(__always)
  public mutating func readRest() -> UnsafeRawBufferPointer {
    let bytes = rest
    rest = UnsafeRawBufferPointer(start: nil, count: 0)
    return bytes
  }
}
