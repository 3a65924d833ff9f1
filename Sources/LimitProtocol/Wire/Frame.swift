// Frames: where one ends and the next begins.

/// The first eight bytes of every frame.
@frozen public struct FrameHeader: Hashable, Sendable, BitwiseCopyable {
  /// Bytes of the whole frame, this header included; below 2^24.
  public var length: Int
  /// An `Operation`, a reply's number, or something of a later version.
  public var operation: UInt8
  /// The client's choice; a reply repeats it.
  public var id: UInt32

  @inlinable public static var byteCount: Int { 8 }
  /// The longest frame that a header can describe.
  @inlinable public static var lengthMax: Int { 1 << 24 - 1 }

  @inlinable @inline(__always) public init(length: Int, operation: UInt8, id: UInt32) {
    self.length = length
    self.operation = operation
    self.id = id
  }

  @inlinable @inline(__always) init(word: UInt64) {
    length = Int(word & 0xFF_FFFF)
    operation = UInt8(truncatingIfNeeded: word >> 24)
    id = UInt32(truncatingIfNeeded: word >> 32)
  }

  /// The header at the start of `bytes`, or `nil` where fewer than eight are there.
  @inlinable @inline(__always) public init?(at bytes: UnsafeRawBufferPointer) {
    var reader = WireReader(bytes)
    guard let word = reader.read(UInt64.self) else { return nil }
    self.init(word: word)
  }

  /// - Precondition: the length fits its 24 bits; a longer one would change the operation.
  @inlinable @inline(__always) var word: UInt64 {
    precondition(0...Self.lengthMax ~= length, "a frame is shorter than 2^24 bytes")
    return UInt64(truncatingIfNeeded: length) | UInt64(operation) << 24 | UInt64(id) << 32
  }

  @inlinable @inline(__always) public func encode(into writer: inout WireWriter) {
    writer.write(word)
  }
}

/// What stands at the front of a stream of bytes.
@frozen public enum Framing {
  /// A whole frame; its body follows the header.
  case frame(FrameHeader, body: UnsafeRawBufferPointer)
  /// The rest is not here yet. `needed`: bytes of the whole frame, where its header is here.
  case incomplete(needed: Int?)
  /// The length makes no sense: nothing behind it can be read.
  case unreadable(FrameHeader)

  /// Looks at the front of `bytes`. O(1).
  ///
  /// - Parameter lengthMax: the longest frame to accept, in bytes.
  @inlinable @inline(__always)
  public static func next(in bytes: UnsafeRawBufferPointer, lengthMax: Int) -> Framing {
    guard let header = FrameHeader(at: bytes) else { return .incomplete(needed: nil) }
    guard header.length >= FrameHeader.byteCount, header.length <= lengthMax else {
      return .unreadable(header)
    }
    guard header.length <= bytes.count else { return .incomplete(needed: header.length) }
    let body = UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.byteCount..<header.length])
    return .frame(header, body: body)
  }
}

extension UInt64 {
  /// A 16-bit field and, above it, a 48-bit one, as queries carry them.
  @inlinable @inline(__always) init(low: UInt16, cost: UInt64) {
    self = UInt64(low) | cost << 16
  }
}
