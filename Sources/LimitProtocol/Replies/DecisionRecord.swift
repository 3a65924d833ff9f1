// A decision on the wire: 56 bytes, alone behind a header or many in the reply to a batch.

/// The answer to one query.
@frozen public struct DecisionRecord: Hashable, Sendable, BitwiseCopyable {
  /// 0 allow, 1 deny, 2 never; 255, in a batch, not decided.
  public var outcome: UInt8
  /// 0 a limit, 1 blocked, 2 unknown tenant; with outcome 255 an `ErrorCode`.
  public var reason: UInt8
  /// 1 soft threshold, 2 shadow denied, 4 overflow.
  public var flags: UInt8
  /// The place in its policy of the limit that decided; `noPlace` where none did.
  public var place: UInt8
  public var receipt: WireReceipt
  /// What that limit holds when full, in its unit.
  public var capacity: UInt64
  public var remaining: UInt64
  /// Nanoseconds.
  public var retryAfter: UInt64
  /// Nanoseconds.
  public var resetAfter: UInt64

  @inlinable public static var byteCount: Int { 56 }
  @inlinable public static var noPlace: UInt8 { 255 }
  @inlinable public static var notDecided: UInt8 { 255 }

  @inlinable @inline(__always) public init(
    outcome: UInt8, reason: UInt8, flags: UInt8, place: UInt8, receipt: WireReceipt,
    capacity: UInt64, remaining: UInt64, retryAfter: UInt64, resetAfter: UInt64
  ) {
    self.outcome = outcome
    self.reason = reason
    self.flags = flags
    self.place = place
    self.receipt = receipt
    self.capacity = capacity
    self.remaining = remaining
    self.retryAfter = retryAfter
    self.resetAfter = resetAfter
  }

  /// An item of a batch that could not be decided.
  public init(notDecided code: ErrorCode) {
    self.init(
      outcome: Self.notDecided, reason: UInt8(code.rawValue), flags: 0, place: 0,
      receipt: WireReceipt(tag: 0, decidedAt: 0, charged: 0, escalated: 0), capacity: 0,
      remaining: 0, retryAfter: 0, resetAfter: 0)
  }

  /// The record at the front of `reader`; `nil` where it ends before, or where the receipt's zero is
  /// not.
  @inlinable @inline(__always) public init?(_ reader: inout WireReader) {
    guard reader.count >= Self.byteCount, let head = reader.read(UInt32.self),
      let receipt = WireReceipt(&reader), let capacity = reader.read(UInt64.self),
      let remaining = reader.read(UInt64.self), let retryAfter = reader.read(UInt64.self),
      let resetAfter = reader.read(UInt64.self)
    else { return nil }
    self.init(
      outcome: UInt8(truncatingIfNeeded: head), reason: UInt8(truncatingIfNeeded: head >> 8),
      flags: UInt8(truncatingIfNeeded: head >> 16), place: UInt8(truncatingIfNeeded: head >> 24),
      receipt: receipt, capacity: capacity, remaining: remaining, retryAfter: retryAfter,
      resetAfter: resetAfter)
  }

  @inlinable @inline(__always) public func encode(into writer: inout WireWriter) {
    // One check of the room for all fields: a batch writes hundreds of these.
    let memory = writer.advance(by: Self.byteCount)
    let head = UInt32(outcome) | UInt32(reason) << 8 | UInt32(flags) << 16 | UInt32(place) << 24
    memory.storeBytes(of: head.littleEndian, as: UInt32.self)
    receipt.store(at: memory + 4)
    (memory + 24).storeBytes(of: capacity.littleEndian, as: UInt64.self)
    (memory + 32).storeBytes(of: remaining.littleEndian, as: UInt64.self)
    (memory + 40).storeBytes(of: retryAfter.littleEndian, as: UInt64.self)
    (memory + 48).storeBytes(of: resetAfter.littleEndian, as: UInt64.self)
  }
}

/// The replies to check and peek (64 bytes) and to acquire (72).
@frozen public enum DecisionReply {
  @inlinable public static var byteCount: Int { FrameHeader.byteCount + DecisionRecord.byteCount }
  @inlinable public static var acquireByteCount: Int { byteCount + 8 }

  /// - Parameter permit: to acquire, the permit, or 0 where none was given; to others `nil`.
  @inlinable @inline(__always) public static func encode(
    _ record: DecisionRecord, permit: UInt64?, operation: UInt8, id: UInt32,
    into writer: inout WireWriter
  ) {
    let length = permit == nil ? byteCount : acquireByteCount
    FrameHeader(length: length, operation: operation, id: id).encode(into: &writer)
    record.encode(into: &writer)
    if let permit { writer.write(permit) }
  }
}

/// The reply to batch.
@frozen public enum BatchReply {
  /// Bytes before the records.
  @inlinable public static var overheadByteCount: Int { 16 }

  @inlinable public static func byteCount(_ count: Int) -> Int {
    overheadByteCount + count * DecisionRecord.byteCount
  }

  /// Writes the start of the frame; `count` records follow.
  public static func encodeStart(count: Int, id: UInt32, into writer: inout WireWriter) {
    FrameHeader(length: byteCount(count), operation: Operation.batch.replyNumber, id: id)
      .encode(into: &writer)
    writer.write(UInt64(UInt16(count)))
  }

  /// How many records follow in `reader`; `nil` where the body does not hold them, or where a field
  /// that must be zero is not.
  public static func decodeStart(_ reader: inout WireReader) -> Int? {
    guard let word = reader.read(UInt64.self), word >> 16 == 0 else { return nil }
    let count = Int(word)
    return reader.count >= count * DecisionRecord.byteCount ? count : nil
  }
}
