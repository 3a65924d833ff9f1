// Hello: the first frame of a connection.

/// The body of hello.
public struct HelloRequest: Hashable, Sendable {
  public var version: ProtocolVersion
  /// For the daemon's log, 0 to 64 bytes.
  public var clientName: String

  static let magic: UInt32 = 0x4454_4D4C  // "LMTD"
  /// The longest client name, in bytes.
  public static let clientNameBytesMax = 64

  public init(version: ProtocolVersion = .current, clientName: String) {
    self.version = version
    self.clientName = clientName
  }

  public init(_ body: UnsafeRawBufferPointer) throws(ProtocolError) {
    var reader = WireReader(body)
    guard reader.read(UInt32.self) == Self.magic else {
      throw ProtocolError(.malformed, "a hello begins with LMTD")
    }
    guard let major = reader.read(UInt16.self), let minor = reader.read(UInt16.self) else {
      throw .short("hello")
    }
    version = ProtocolVersion(major: major, minor: minor)
    let name = reader.readRest()
    guard name.count <= Self.clientNameBytesMax,
      let clientName = String(validating: name, as: UTF8.self)
    else { throw Self.unreadableName(version) }
    self.clientName = clientName
  }

  /// What follows the version may mean something else in another one, so that is what to tell then.
  @inline(never) private static func unreadableName(_ version: ProtocolVersion) -> ProtocolError {
    guard ProtocolVersion.current.serves(version) else { return .unsupportedVersion }
    return ProtocolError(.malformed, "a client's name has at most 64 bytes, in UTF-8")
  }

  public var byteCount: Int { FrameHeader.byteCount + 8 + clientName.utf8.count }

  /// - Precondition: the name has at most 64 bytes.
  public func encode(id: UInt32, into writer: inout WireWriter) {
    precondition(clientName.utf8.count <= Self.clientNameBytesMax)
    FrameHeader(length: byteCount, operation: Operation.hello.rawValue, id: id)
      .encode(into: &writer)
    writer.write(Self.magic)
    writer.write(version.major)
    writer.write(version.minor)
    writer.write(text: clientName)
  }
}

extension WireWriter {
  public mutating func write(text: String) {
    var text = text
    text.withUTF8 { write(bytes: UnsafeRawBufferPointer($0)) }
  }
}
