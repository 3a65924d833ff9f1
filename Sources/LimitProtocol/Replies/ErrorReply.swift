// The answer to a request that could not be answered.

/// The body of an error reply.
public struct ErrorReply: Hashable, Sendable {
  /// An `ErrorCode`, or one of a later version.
  public var code: UInt16
  /// What is wrong, for people.
  public var text: String

  /// Texts are cut to this many bytes.
  static let textBytesMax = 240
  static let overheadByteCount = 12
  /// No error reply is longer.
  public static let byteCountMax = overheadByteCount + textBytesMax

  public init(code: UInt16, text: String) {
    self.code = code
    self.text = text
  }

  public init(_ error: ProtocolError) { self.init(code: error.code.rawValue, text: error.text) }

  public init(_ body: UnsafeRawBufferPointer) throws(ProtocolError) {
    var reader = WireReader(body)
    guard let code = reader.read(UInt32.self) else { throw .short("an error reply") }
    self.code = UInt16(truncatingIfNeeded: code)
    text = String(decoding: reader.readRest(), as: UTF8.self)
  }

  /// Writes at most `byteCountMax` bytes.
  public func encode(id: UInt32, into writer: inout WireWriter) {
    var text = text
    text.withUTF8 { utf8 in
      let bytes = UnsafeRawBufferPointer(
        UnsafeBufferPointer(rebasing: utf8.prefix(Self.textBytesMax)))
      let length = Self.overheadByteCount + bytes.count
      FrameHeader(length: length, operation: Operation.error, id: id).encode(into: &writer)
      writer.write(UInt32(code))
      writer.write(bytes: bytes)
    }
  }
}
