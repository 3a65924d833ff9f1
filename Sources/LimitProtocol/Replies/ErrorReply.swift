// The answer to a request that could not be answered.

/// The body of an error reply.
public struct ErrorReply: Hashable, Sendable {
  /// An `ErrorCode`, or one of a later version.
  public var code: UInt16
  /// Of *unsupported version*, the newest major version that is spoken; else 0.
  public var detail: UInt16
  /// What is wrong, for people.
  public var text: String

  /// Texts are cut to this many bytes, or up to three fewer so that no character's bytes part.
  static let textBytesMax = 240
  static let overheadByteCount = 12
  /// No error reply is longer.
  public static let byteCountMax = overheadByteCount + textBytesMax

  public init(code: UInt16, detail: UInt16 = 0, text: String) {
    self.code = code
    self.detail = detail
    self.text = text
  }

  public init(_ error: ProtocolError) {
    self.init(code: error.code.rawValue, detail: error.detail, text: error.text)
  }

  public init(_ body: UnsafeRawBufferPointer) throws(ProtocolError) {
    var reader = WireReader(body)
    guard let code = reader.read(UInt16.self), let detail = reader.read(UInt16.self) else {
      throw .short("an error reply")
    }
    self.code = code
    self.detail = detail
    text = String(decoding: reader.readRest(), as: UTF8.self)
  }

  /// Writes at most `byteCountMax` bytes.
  public func encode(id: UInt32, into writer: inout WireWriter) {
    var text = text
    text.withUTF8 { utf8 in
      var end = min(utf8.count, Self.textBytesMax)
      while end < utf8.count, UTF8.isContinuation(utf8[end]) { end -= 1 }
      let bytes = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: utf8[..<end]))
      let length = Self.overheadByteCount + bytes.count
      FrameHeader(length: length, operation: Operation.error, id: id).encode(into: &writer)
      writer.write(code)
      writer.write(detail)
      writer.write(bytes: bytes)
    }
  }
}
