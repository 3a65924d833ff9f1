// A reply, read from docs/PROTOCOL.md and not with the client's own decoders.

/// One frame from the daemon, whole.
public struct Reply: Hashable, Sendable, CustomStringConvertible {
  /// The frame, its header included.
  public var bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public var operation: UInt8 { bytes[3] }
  public var id: UInt32 { UInt32(bytes.number(at: 4, bytes: 4)) }

  public var isError: Bool { operation == 0xFF }
  /// The code of an error; `nil` of any other reply.
  public var errorCode: UInt16? {
    isError ? UInt16(bytes.number(at: 8, bytes: 2)) : nil
  }
  public var errorText: String { String(decoding: bytes.dropFirst(12), as: UTF8.self) }

  /// The decision of a check, peek or acquire; `nil` of any other reply.
  public var decision: ReplyDecision? {
    let isDecision = (0x84...0x86).contains(operation & ~0x40) && bytes.count >= 72
    return isDecision ? ReplyDecision(Array(bytes[8..<72])) : nil
  }

  /// The decisions of a batch.
  public var items: [ReplyDecision] {
    guard operation == 0x89 else { return [] }
    return (0..<Int(bytes.number(at: 8, bytes: 2))).map {
      ReplyDecision(Array(bytes[(16 + 64 * $0)..<(80 + 64 * $0)]))
    }
  }

  /// What an acquire gave; 0 where it gave nothing; `nil` of any other reply.
  public var permit: UInt64? {
    operation & ~0x40 == 0x86 && bytes.count >= 80 ? bytes.number(at: 72, bytes: 8) : nil
  }

  public var description: String {
    if let code = errorCode { return "error \(code) to \(id): \(errorText)" }
    if let decision { return "reply \(operation) to \(id): \(decision)" }
    return "reply \(operation) to \(id), \(bytes.count) bytes"
  }
}

/// The 64 bytes of a decision.
public struct ReplyDecision: Hashable, Sendable, CustomStringConvertible {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  public static let allow: UInt8 = 0
  public static let deny: UInt8 = 1
  public static let notDecided: UInt8 = 255

  public var outcome: UInt8 { bytes[0] }
  public var isAllowed: Bool { outcome == Self.allow }
  public var reason: UInt8 { bytes[1] }
  public var flags: UInt8 { bytes[2] }
  /// The limit that decided, by its place in the policy; 255: none.
  public var place: UInt8 { bytes[3] }
  public var receipt: [UInt8] { Array(bytes[4..<32]) }
  public var capacity: UInt64 { bytes.number(at: 32, bytes: 8) }
  public var remaining: UInt64 { bytes.number(at: 40, bytes: 8) }
  /// Nanoseconds; `UInt64.max`: no wait helps.
  public var retryAfter: UInt64 { bytes.number(at: 48, bytes: 8) }
  /// Nanoseconds.
  public var resetAfter: UInt64 { bytes.number(at: 56, bytes: 8) }

  public var description: String {
    "outcome \(outcome) reason \(reason) flags \(flags) place \(place) capacity \(capacity) "
      + "remaining \(remaining) retry \(retryAfter) reset \(resetAfter)"
  }
}
