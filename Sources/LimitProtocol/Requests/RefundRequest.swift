// Refund and release: what a client gives back.

/// What a decision took, as the reply carries it and a refund brings it back: 20 bytes.
@frozen public struct WireReceipt: Hashable, Sendable, BitwiseCopyable {
  /// Stands for the policy's list of limits; `charged` refers to it.
  public var tag: UInt32
  /// The daemon's time of the decision, in ns; below 2^62.
  public var decidedAt: UInt64
  /// Bit i: the policy's limit i was charged.
  public var charged: UInt16
  /// Bits 2i and 2i + 1: by how many scopes the charged bucket was wider, 0 ... 2.
  public var escalated: UInt32

  @inlinable public static var byteCount: Int { 20 }

  @inlinable public init(tag: UInt32, decidedAt: UInt64, charged: UInt16, escalated: UInt32) {
    self.tag = tag
    self.decidedAt = decidedAt
    self.charged = charged
    self.escalated = escalated
  }

  @inlinable @inline(__always) public init?(_ reader: inout WireReader) {
    guard reader.count >= Self.byteCount, let tag = reader.read(UInt32.self),
      let decidedAt = reader.read(UInt64.self), let charged = reader.read(UInt32.self),
      let escalated = reader.read(UInt32.self), charged >> 16 == 0
    else { return nil }
    self.init(
      tag: tag, decidedAt: decidedAt, charged: UInt16(truncatingIfNeeded: charged),
      escalated: escalated)
  }

  @inlinable @inline(__always) public func encode(into writer: inout WireWriter) {
    store(at: writer.advance(by: Self.byteCount))
  }

  /// - Precondition: there are 20 bytes at `memory`.
  @inlinable @inline(__always) func store(at memory: UnsafeMutableRawPointer) {
    memory.storeBytes(of: tag.littleEndian, as: UInt32.self)
    (memory + 4).storeBytes(of: decidedAt.littleEndian, as: UInt64.self)
    (memory + 12).storeBytes(of: UInt32(charged).littleEndian, as: UInt32.self)
    (memory + 16).storeBytes(of: escalated.littleEndian, as: UInt32.self)
  }
}

/// The body of refund.
@frozen public struct RefundRequest {
  public var subject: QuerySubject
  /// Units to give back, below 2^48: at most what the query cost.
  public var cost: UInt64
  public var receipt: WireReceipt
  /// Points into the frame.
  public var key: UnsafeRawBufferPointer

  public init(
    subject: QuerySubject, cost: UInt64, receipt: WireReceipt, key: UnsafeRawBufferPointer
  ) {
    self.subject = subject
    self.cost = cost
    self.receipt = receipt
    self.key = key
  }

  public init(_ body: UnsafeRawBufferPointer, isByName: Bool) throws(ProtocolError) {
    var reader = WireReader(body)
    guard let word = reader.read(UInt64.self), reader.count >= WireReceipt.byteCount else {
      throw .short("refund")
    }
    guard let receipt = WireReceipt(&reader) else { throw .notZero("receipt") }
    self.receipt = receipt
    cost = word >> 16
    let low = UInt16(truncatingIfNeeded: word)
    subject = isByName ? try reader.readNames(lengths: low) : .handle(low)
    key = reader.readRest()
  }

  public var byteCount: Int {
    QueryRequest(subject: subject, cost: cost, key: key).byteCount + WireReceipt.byteCount
  }

  /// - Precondition: names and cost are in range.
  public func encode(id: UInt32, into writer: inout WireWriter) {
    precondition(cost <= QueryRequest.costMax, "a cost is below 2^48")
    let operation: Operation =
      switch subject {
      case .handle: .refund
      case .names: .refundByName
      }
    FrameHeader(length: byteCount, operation: operation.rawValue, id: id).encode(into: &writer)
    subject.encode(cost: cost, into: &writer)
    receipt.encode(into: &writer)
    subject.encodeNames(into: &writer)
    writer.write(bytes: key)
  }
}

/// A request whose body is one 64-bit number: release (the permit) and set-clock (nanoseconds).
public enum NumberRequest {
  public static let byteCount = FrameHeader.byteCount + 8

  public static func decode(_ body: UnsafeRawBufferPointer) throws(ProtocolError) -> UInt64 {
    var reader = WireReader(body)
    guard let number = reader.read(UInt64.self) else { throw .short("the body") }
    guard reader.count == 0 else { throw .long("the body") }
    return number
  }

  public static func encode(
    _ operation: Operation, _ number: UInt64, id: UInt32, into writer: inout WireWriter
  ) {
    FrameHeader(length: byteCount, operation: operation.rawValue, id: id).encode(into: &writer)
    writer.write(number)
  }
}

/// A frame without a body: ping, and the replies to ping, release, refund and set-clock.
public enum EmptyFrame {
  /// Checks the body of a ping. Replies may have bytes of a later version, which clients ignore.
  public static func decode(_ body: UnsafeRawBufferPointer) throws(ProtocolError) {
    guard body.isEmpty else { throw .long("the body") }
  }

  public static func encode(_ operation: UInt8, id: UInt32, into writer: inout WireWriter) {
    FrameHeader(length: FrameHeader.byteCount, operation: operation, id: id).encode(into: &writer)
  }
}
