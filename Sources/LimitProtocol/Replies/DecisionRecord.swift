// A decision on the wire: 64 bytes, alone behind a header or many in the reply to a batch.

/// The answer to one query.
@frozen public struct DecisionRecord: Hashable, Sendable, BitwiseCopyable {
  public var outcome: DecisionOutcome
  /// Of an item that was not decided, the code of an error: see `error`.
  public var reason: DecisionReason
  public var flags: DecisionFlags
  /// The place in its policy of the limit that decided; `noPlace` where none did.
  public var place: UInt8
  public var receipt: WireReceipt
  /// What that limit holds when full, in its unit.
  public var capacity: UInt64
  public var remaining: UInt64
  /// Nanoseconds; `noWait` where no wait helps, or nobody can know of one.
  public var retryAfter: UInt64
  /// Nanoseconds.
  public var resetAfter: UInt64

  @inlinable public static var byteCount: Int { 64 }
  @inlinable public static var noPlace: UInt8 { 255 }
  /// Of `retryAfter`: the tenant is blocked or unknown, the cost is beyond the limit, or a
  /// concurrency limit is full.
  @inlinable public static var noWait: UInt64 { .max }

  @inlinable @inline(__always) public init(
    outcome: DecisionOutcome, reason: DecisionReason, flags: DecisionFlags, place: UInt8,
    receipt: WireReceipt,
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
      outcome: .notDecided, reason: DecisionReason(rawValue: UInt8(code.rawValue)), flags: [],
      place: 0, receipt: .nothing, capacity: 0, remaining: 0, retryAfter: 0, resetAfter: 0)
  }

  /// Why an item of a batch was not decided; `nil` where it was, or for a code of a later version.
  public var error: ErrorCode? {
    outcome == .notDecided ? ErrorCode(rawValue: UInt16(reason.rawValue)) : nil
  }

  /// The record at the front of `reader`; `nil` where it ends before.
  @inlinable @inline(__always) public init?(_ reader: inout WireReader) {
    guard reader.count >= Self.byteCount, let head = reader.read(UInt32.self),
      let receipt = WireReceipt(&reader), let capacity = reader.read(UInt64.self),
      let remaining = reader.read(UInt64.self), let retryAfter = reader.read(UInt64.self),
      let resetAfter = reader.read(UInt64.self)
    else { return nil }
    self.init(
      outcome: DecisionOutcome(rawValue: UInt8(truncatingIfNeeded: head)),
      reason: DecisionReason(rawValue: UInt8(truncatingIfNeeded: head >> 8)),
      flags: DecisionFlags(rawValue: UInt8(truncatingIfNeeded: head >> 16)),
      place: UInt8(truncatingIfNeeded: head >> 24), receipt: receipt, capacity: capacity,
      remaining: remaining, retryAfter: retryAfter,
      resetAfter: resetAfter)
  }

  @inlinable @inline(__always) public func encode(into writer: inout WireWriter) {
    // One check of the room for all fields: a batch writes hundreds of these.
    let memory = writer.advance(by: Self.byteCount)
    let head =
      UInt32(outcome.rawValue) | UInt32(reason.rawValue) << 8 | UInt32(flags.rawValue) << 16
      | UInt32(place) << 24
    memory.storeBytes(of: head.littleEndian, as: UInt32.self)
    receipt.store(at: memory + 4)
    (memory + 32).storeBytes(of: capacity.littleEndian, as: UInt64.self)
    (memory + 40).storeBytes(of: remaining.littleEndian, as: UInt64.self)
    (memory + 48).storeBytes(of: retryAfter.littleEndian, as: UInt64.self)
    (memory + 56).storeBytes(of: resetAfter.littleEndian, as: UInt64.self)
  }
}

/// The replies to check and peek (72 bytes) and to acquire (80).
@frozen public enum DecisionReply {
  @inlinable public static var byteCount: Int { FrameHeader.byteCount + DecisionRecord.byteCount }
  @inlinable public static var acquireByteCount: Int { byteCount + 8 }

  /// - Parameter permit: to acquire, the permit, or 0 where none was given; to others `nil`.
  @inlinable @inline(__always) public static func encode(
    _ record: DecisionRecord, permit: UInt64?, operation: UInt8, id: UInt32,
    into writer: inout WireWriter
  ) {
    encodeStart(operation: operation, id: id, hasPermit: permit != nil, into: &writer)
    record.encode(into: &writer)
    if let permit { writer.write(permit) }
  }

  /// Writes the start of the frame; the record follows, and to acquire the permit.
  @inlinable @inline(__always) public static func encodeStart(
    operation: UInt8, id: UInt32, hasPermit: Bool, into writer: inout WireWriter
  ) {
    FrameHeader(length: hasPermit ? acquireByteCount : byteCount, operation: operation, id: id)
      .encode(into: &writer)
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
