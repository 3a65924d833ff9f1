// Settle and release: what a client corrects, and gives back.

/// What a decision took, as the reply carries it and settle brings it back: 28 bytes.
@frozen public struct WireReceipt: Hashable, Sendable, BitwiseCopyable {
  /// Stands for the policy's list of limits; `charged`, `shadow` and `escalated` refer to it.
  public var tag: UInt32
  /// The daemon's time of the decision, in ns; below 2^62.
  public var decidedAt: UInt64
  /// Bit i: the policy's limit i was charged.
  public var charged: UInt16
  /// Bit i: the policy's limit i, which may not deny, would have denied.
  public var shadow: UInt16
  /// Bits 2i and 2i + 1: by how many scopes the charged bucket was wider, 0 ... 2.
  public var escalated: UInt32
  /// What tells the daemon that all of this is its own word.
  public var mac: UInt64

  @inlinable public static var byteCount: Int { 28 }

  /// Of a decision that took nothing.
  @inlinable public static var nothing: WireReceipt {
    WireReceipt(tag: 0, decidedAt: 0, charged: 0, shadow: 0, escalated: 0, mac: 0)
  }

  @inlinable @inline(__always) public init(
    tag: UInt32, decidedAt: UInt64, charged: UInt16, shadow: UInt16, escalated: UInt32, mac: UInt64
  ) {
    self.tag = tag
    self.decidedAt = decidedAt
    self.charged = charged
    self.shadow = shadow
    self.escalated = escalated
    self.mac = mac
  }

  @inlinable @inline(__always) public init?(_ reader: inout WireReader) {
    guard reader.count >= Self.byteCount, let tag = reader.read(UInt32.self),
      let decidedAt = reader.read(UInt64.self), let limits = reader.read(UInt64.self),
      let mac = reader.read(UInt64.self)
    else { return nil }
    self.init(
      tag: tag, decidedAt: decidedAt, charged: UInt16(truncatingIfNeeded: limits),
      shadow: UInt16(truncatingIfNeeded: limits >> 16),
      escalated: UInt32(truncatingIfNeeded: limits >> 32), mac: mac)
  }

  @inlinable @inline(__always) public func encode(into writer: inout WireWriter) {
    store(at: writer.advance(by: Self.byteCount))
  }

  /// - Precondition: there are 28 bytes at `memory`.
  @inlinable @inline(__always) func store(at memory: UnsafeMutableRawPointer) {
    let limits = UInt64(charged) | UInt64(shadow) << 16 | UInt64(escalated) << 32
    memory.storeBytes(of: tag.littleEndian, as: UInt32.self)
    (memory + 4).storeBytes(of: decidedAt.littleEndian, as: UInt64.self)
    (memory + 12).storeBytes(of: limits.littleEndian, as: UInt64.self)
    (memory + 20).storeBytes(of: mac.littleEndian, as: UInt64.self)
  }
}

/// The body of settle.
@frozen public struct SettleRequest {
  public var subject: QuerySubject
  /// Units that the query was decided for, below 2^48.
  public var cost: UInt64
  /// Units that it turned out to take, below 2^48; 0 is a refund.
  public var actual: UInt64
  public var receipt: WireReceipt
  /// Points into the frame.
  public var key: UnsafeRawBufferPointer

  public init(
    subject: QuerySubject, cost: UInt64, actual: UInt64, receipt: WireReceipt,
    key: UnsafeRawBufferPointer
  ) {
    self.subject = subject
    self.cost = cost
    self.actual = actual
    self.receipt = receipt
    self.key = key
  }

  public init(_ body: UnsafeRawBufferPointer, isByName: Bool) throws(ProtocolError) {
    var reader = WireReader(body)
    guard let word = reader.read(UInt64.self), let actual = reader.read(UInt64.self),
      let receipt = WireReceipt(&reader)
    else { throw .short("settle") }
    guard actual <= QueryRequest.costMax else { throw .notZero("settle") }
    self.receipt = receipt
    self.actual = actual
    cost = word >> 16
    let low = UInt16(truncatingIfNeeded: word)
    subject = isByName ? try reader.readNames(lengths: low) : .handle(low)
    key = reader.readRest()
  }

  public var byteCount: Int {
    QueryRequest(subject: subject, cost: cost, key: key).byteCount + 8 + WireReceipt.byteCount
  }

  /// - Precondition: names and costs are in range.
  public func encode(id: UInt32, into writer: inout WireWriter) {
    precondition(
      cost <= QueryRequest.costMax && actual <= QueryRequest.costMax, "a cost is below 2^48")
    let operation: Operation =
      switch subject {
      case .handle: .settle
      case .names: .settleByName
      }
    FrameHeader(length: byteCount, operation: operation.rawValue, id: id).encode(into: &writer)
    subject.encode(cost: cost, into: &writer)
    writer.write(actual)
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

/// A frame without a body: ping, and the replies to ping, release, settle and set-clock.
public enum EmptyFrame {
  /// Checks the body of a ping. Replies may have bytes of a later version, which clients ignore.
  public static func decode(_ body: UnsafeRawBufferPointer) throws(ProtocolError) {
    guard body.isEmpty else { throw .long("the body") }
  }

  public static func encode(_ operation: UInt8, id: UInt32, into writer: inout WireWriter) {
    FrameHeader(length: FrameHeader.byteCount, operation: operation, id: id).encode(into: &writer)
  }
}
