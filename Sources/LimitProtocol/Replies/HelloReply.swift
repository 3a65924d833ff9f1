// The daemon's answer to hello: what this connection may use.

/// The body of the reply to hello.
public struct HelloReply: Hashable, Sendable {
  public var version: ProtocolVersion
  /// Bit 0: the clock can be set.
  public var capabilities: UInt32
  /// The longest request frame, in bytes.
  public var frameBytesMax: UInt32
  public var batchItemsMax: UInt16
  public var keyBytesMax: UInt16
  public var handlesMax: UInt16
  public var permitsMax: UInt16
  public var roles: PeerRoles
  /// The daemon's version, for people.
  public var daemonVersion: String

  public static let canSetClock: UInt32 = 1
  static let overheadByteCount = 36

  public init(
    version: ProtocolVersion, capabilities: UInt32, frameBytesMax: UInt32, batchItemsMax: UInt16,
    keyBytesMax: UInt16, handlesMax: UInt16, permitsMax: UInt16, roles: PeerRoles,
    daemonVersion: String
  ) {
    self.version = version
    self.capabilities = capabilities
    self.frameBytesMax = frameBytesMax
    self.batchItemsMax = batchItemsMax
    self.keyBytesMax = keyBytesMax
    self.handlesMax = handlesMax
    self.permitsMax = permitsMax
    self.roles = roles
    self.daemonVersion = daemonVersion
  }

  public init(_ body: UnsafeRawBufferPointer) throws(ProtocolError) {
    var reader = WireReader(body)
    guard reader.count >= Self.overheadByteCount - FrameHeader.byteCount,
      reader.read(UInt32.self) == HelloRequest.magic, let major = reader.read(UInt16.self),
      let minor = reader.read(UInt16.self), let capabilities = reader.read(UInt32.self),
      let frameBytesMax = reader.read(UInt32.self), let batchItemsMax = reader.read(UInt16.self),
      let keyBytesMax = reader.read(UInt16.self), let handlesMax = reader.read(UInt16.self),
      let permitsMax = reader.read(UInt16.self), let roles = reader.read(UInt32.self)
    else { throw ProtocolError(.malformed, "the reply to hello is not limitd's") }
    guard roles <= 0xFF else { throw .notZero("the reply to hello") }
    self.init(
      version: ProtocolVersion(major: major, minor: minor), capabilities: capabilities,
      frameBytesMax: frameBytesMax, batchItemsMax: batchItemsMax, keyBytesMax: keyBytesMax,
      handlesMax: handlesMax, permitsMax: permitsMax,
      roles: PeerRoles(rawValue: UInt8(truncatingIfNeeded: roles)),
      daemonVersion: String(decoding: reader.readRest(), as: UTF8.self))
  }

  public var byteCount: Int { Self.overheadByteCount + daemonVersion.utf8.count }

  public func encode(id: UInt32, into writer: inout WireWriter) {
    FrameHeader(length: byteCount, operation: Operation.hello.replyNumber, id: id)
      .encode(into: &writer)
    writer.write(HelloRequest.magic)
    writer.write(version.major)
    writer.write(version.minor)
    writer.write(capabilities)
    writer.write(frameBytesMax)
    writer.write(batchItemsMax)
    writer.write(keyBytesMax)
    writer.write(handlesMax)
    writer.write(permitsMax)
    writer.write(UInt32(roles.rawValue))
    writer.write(text: daemonVersion)
  }
}
