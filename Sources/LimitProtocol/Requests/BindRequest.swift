// Bind: a number for (tenant, policy) on one connection.

/// The body of bind.
@frozen public struct BindRequest {
  public var handle: UInt16
  /// 1 to 255 bytes. Points into the frame.
  public var tenant: UnsafeRawBufferPointer
  /// 1 to 64 bytes. Points into the frame.
  public var policy: UnsafeRawBufferPointer

  public init(handle: UInt16, tenant: UnsafeRawBufferPointer, policy: UnsafeRawBufferPointer) {
    self.handle = handle
    self.tenant = tenant
    self.policy = policy
  }

  public init(_ body: UnsafeRawBufferPointer) throws(ProtocolError) {
    var reader = WireReader(body)
    guard let handle = reader.read(UInt16.self), let lengths = reader.read(UInt16.self) else {
      throw .short("bind")
    }
    self.handle = handle
    guard case .names(let tenant, let policy) = try reader.readNames(lengths: lengths) else {
      preconditionFailure("readNames reads names")
    }
    self.tenant = tenant
    self.policy = policy
    guard reader.count == 0 else { throw .long("bind") }
  }

  public var byteCount: Int { FrameHeader.byteCount + 4 + tenant.count + policy.count }

  /// - Precondition: the names are within their bounds.
  public func encode(id: UInt32, into writer: inout WireWriter) {
    precondition(1...255 ~= tenant.count && 1...64 ~= policy.count, "names have their bounds")
    FrameHeader(length: byteCount, operation: Operation.bind.rawValue, id: id)
      .encode(into: &writer)
    writer.write(handle)
    writer.write(UInt8(tenant.count))
    writer.write(UInt8(policy.count))
    writer.write(bytes: tenant)
    writer.write(bytes: policy)
  }
}
