// Batch: many checks by handle in one frame.

/// One item of a batch.
@frozen public struct BatchItem {
  public var handle: UInt16
  /// Units, below 2^48.
  public var cost: UInt64
  /// At most 65,535 bytes. Points into the frame.
  public var key: UnsafeRawBufferPointer

  /// Bytes of an item besides its key.
  @inlinable public static var overheadByteCount: Int { 10 }

  @inlinable public init(handle: UInt16, cost: UInt64, key: UnsafeRawBufferPointer) {
    self.handle = handle
    self.cost = cost
    self.key = key
  }

  /// The item at the front of `reader`; `nil` where it ends before.
  @inlinable @inline(__always) public init?(_ reader: inout WireReader) {
    guard let word = reader.read(UInt64.self), let length = reader.read(UInt16.self),
      let key = reader.readBytes(Int(length))
    else { return nil }
    self.init(handle: UInt16(truncatingIfNeeded: word), cost: word >> 16, key: key)
  }

  @inlinable @inline(__always) public func encode(into writer: inout WireWriter) {
    precondition(cost <= QueryRequest.costMax && key.count <= 0xFFFF, "an item has its bounds")
    writer.write(UInt64(low: handle, cost: cost))
    writer.write(UInt16(key.count))
    writer.write(bytes: key)
  }
}

/// The start of the body of batch; its items follow, and `BatchItem` reads them.
@frozen public struct BatchRequest {
  /// How many items it has, at least 1.
  public let count: Int

  /// Bytes of the body before its items.
  @inlinable public static var countByteCount: Int { 4 }
  /// Bytes of the frame before its items.
  @inlinable public static var overheadByteCount: Int { FrameHeader.byteCount + countByteCount }

  /// Checks the whole body before its first item is read: a batch is refused as a whole or not.
  /// O(items).
  public init(_ body: UnsafeRawBufferPointer) throws(ProtocolError) {
    var reader = WireReader(body)
    guard let count = reader.read(UInt16.self), let zero = reader.read(UInt16.self) else {
      throw .short("batch")
    }
    guard zero == 0 else { throw .notZero("batch") }
    guard count > 0 else { throw ProtocolError(.malformed, "a batch has at least one item") }
    self.count = Int(count)
    for _ in 0..<count {
      guard BatchItem(&reader) != nil else { throw .short("batch") }
    }
    guard reader.count == 0 else { throw .long("batch") }
  }

  /// Writes the start of a frame; the items follow.
  ///
  /// - Parameters:
  ///   - count: 1 ... 65,535 items.
  ///   - keyBytes: bytes of all keys together.
  @inlinable public static func encodeStart(
    count: Int, keyBytes: Int, id: UInt32, into writer: inout WireWriter
  ) {
    let length = overheadByteCount + count * BatchItem.overheadByteCount + keyBytes
    FrameHeader(length: length, operation: Operation.batch.rawValue, id: id).encode(into: &writer)
    writer.write(UInt32(UInt16(count)))
  }
}
