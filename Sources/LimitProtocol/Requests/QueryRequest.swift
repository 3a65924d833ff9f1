// Check, peek and acquire: the same body, by handle or by name.

/// Whom a query is for.
@frozen public enum QuerySubject {
  /// What a bind of this connection gave the handle.
  case handle(UInt16)
  /// 1 to 255 and 1 to 64 bytes. Point into the frame.
  case names(tenant: UnsafeRawBufferPointer, policy: UnsafeRawBufferPointer)
}

/// The body of check, peek and acquire.
@frozen public struct QueryRequest {
  public var subject: QuerySubject
  /// Units, below 2^48.
  public var cost: UInt64
  /// Points into the frame.
  public var key: UnsafeRawBufferPointer

  /// The most units that a query can ask for: 2^48 − 1.
  @inlinable public static var costMax: UInt64 { 1 << 48 - 1 }
  /// Bytes of a frame besides names and key.
  @inlinable public static var overheadByteCount: Int { 16 }

  @inlinable public init(subject: QuerySubject, cost: UInt64, key: UnsafeRawBufferPointer) {
    self.subject = subject
    self.cost = cost
    self.key = key
  }

  /// Reads the body of a query by handle.
  @inlinable @inline(__always)
  public init(byHandle body: UnsafeRawBufferPointer) throws(ProtocolError) {
    var reader = WireReader(body)
    guard let word = reader.read(UInt64.self) else { throw .short("a query") }
    subject = .handle(UInt16(truncatingIfNeeded: word))
    cost = word >> 16
    key = reader.readRest()
  }

  /// Reads the body of a query by name.
  public init(byName body: UnsafeRawBufferPointer) throws(ProtocolError) {
    var reader = WireReader(body)
    guard let word = reader.read(UInt64.self) else { throw .short("a query") }
    cost = word >> 16
    subject = try reader.readNames(lengths: UInt16(truncatingIfNeeded: word))
    key = reader.readRest()
  }

  /// Bytes of the frame.
  @inlinable @inline(__always) public var byteCount: Int {
    switch subject {
    case .handle: Self.overheadByteCount + key.count
    case .names(let tenant, let policy):
      Self.overheadByteCount + tenant.count + policy.count + key.count
    }
  }

  /// Writes the frame of `operation`: check, peek or acquire, or their forms by name.
  /// - Precondition: the operation suits the subject, names and cost are in range.
  @inlinable @inline(__always)
  public func encode(_ operation: Operation, id: UInt32, into writer: inout WireWriter) {
    precondition(cost <= Self.costMax, "a cost is below 2^48")
    FrameHeader(length: byteCount, operation: operation.rawValue, id: id).encode(into: &writer)
    subject.encode(cost: cost, into: &writer)
    subject.encodeNames(into: &writer)
    writer.write(bytes: key)
  }
}

extension QuerySubject {
  /// The word that begins a query's body.
  @inlinable @inline(__always)
  func encode(cost: UInt64, into writer: inout WireWriter) {
    switch self {
    case .handle(let handle): writer.write(UInt64(low: handle, cost: cost))
    case .names(let tenant, let policy):
      precondition(1...255 ~= tenant.count && 1...64 ~= policy.count, "names have their bounds")
      let lengths = UInt16(tenant.count) | UInt16(policy.count) << 8
      writer.write(UInt64(low: lengths, cost: cost))
    }
  }

  @inlinable @inline(__always)
  func encodeNames(into writer: inout WireWriter) {
    guard case .names(let tenant, let policy) = self else { return }
    writer.write(bytes: tenant)
    writer.write(bytes: policy)
  }
}

extension WireReader {
  /// Two names behind one another; their lengths in the low and the high byte of `lengths`.
  mutating func readNames(lengths: UInt16) throws(ProtocolError) -> QuerySubject {
    let (tenantLength, policyLength) = (Int(lengths & 0xFF), Int(lengths >> 8))
    guard tenantLength > 0, 1...64 ~= policyLength else {
      throw ProtocolError(
        .malformed, "a tenant's name has 1 to 255 bytes, a policy's 1 to 64")
    }
    guard let tenant = readBytes(tenantLength), let policy = readBytes(policyLength) else {
      throw .short("a request by name")
    }
    return .names(tenant: tenant, policy: policy)
  }
}

extension ProtocolError {
  /// A body that ends before its fields do.
  @usableFromInline @inline(never)
  static func short(_ what: String) -> ProtocolError {
    ProtocolError(.malformed, "\(what) ends before its fields do")
  }

  /// A body that goes on behind its fields.
  @inline(never)
  package static func long(_ what: String) -> ProtocolError {
    ProtocolError(.malformed, "\(what) has bytes behind its last field")
  }

  /// Bytes that should be UTF-8 and are not.
  @inline(never)
  static func notText(_ what: String) -> ProtocolError {
    ProtocolError(.malformed, "\(what) is not UTF-8")
  }

  @inline(never)
  static func notZero(_ what: String) -> ProtocolError {
    ProtocolError(.malformed, "\(what): a field that must be zero is not")
  }
}
