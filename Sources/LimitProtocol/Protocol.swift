// The decision protocol: what both sides agree on. docs/PROTOCOL.md is its description; this module
// turns frames into values and back. No I/O, no clock. Values: any thread may use them.

/// A protocol version, `major.minor`.
public struct ProtocolVersion: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
  public var major: UInt16
  public var minor: UInt16

  public init(major: UInt16, minor: UInt16) {
    self.major = major
    self.minor = minor
  }

  /// What this module speaks.
  public static let current = ProtocolVersion(major: 1, minor: 0)

  /// Whether a daemon of this version can serve a client written for `client`: any minor version of
  /// the same major one, since what a later minor adds is answered as unknown.
  public func serves(_ client: ProtocolVersion) -> Bool { client.major == major }

  public var description: String { "\(major).\(minor)" }
}

/// What a request asks for. A reply carries the same number with `reply` added.
public enum Operation: UInt8, Sendable, CaseIterable {
  case hello = 0x01
  case ping = 0x02
  case bind = 0x03
  case check = 0x04
  case peek = 0x05
  case acquire = 0x06
  case release = 0x07
  case settle = 0x08
  case batch = 0x09
  case checkByName = 0x44
  case peekByName = 0x45
  case acquireByName = 0x46
  case settleByName = 0x48
  case setClock = 0x7E

  /// Added to a request's number in its reply.
  @inlinable public static var reply: UInt8 { 0x80 }
  /// The operation of an error reply.
  @inlinable public static var error: UInt8 { 0xFF }

  /// The number of this operation's reply.
  @inlinable public var replyNumber: UInt8 { rawValue | Operation.reply }
}

/// Why a request was not answered.
public enum ErrorCode: UInt16, Sendable, BitwiseCopyable, CaseIterable {
  case malformed = 1
  case tooLarge = 2
  case unknownOperation = 3
  case unsupportedVersion = 4
  case helloExpected = 5
  case unknownPolicy = 6
  case unknownTenant = 7
  case notPermitted = 8
  case unknownHandle = 9
  case unknownPermit = 10
  case staleReceipt = 11
  case limitReached = 12
  case timeout = 13
  case shuttingDown = 14

  /// The code in words, as docs/PROTOCOL.md has it.
  public var name: String {
    switch self {
    case .malformed: "malformed"
    case .tooLarge: "too large"
    case .unknownOperation: "unknown operation"
    case .unsupportedVersion: "unsupported version"
    case .helloExpected: "hello expected"
    case .unknownPolicy: "unknown policy"
    case .unknownTenant: "unknown tenant"
    case .notPermitted: "not permitted"
    case .unknownHandle: "unknown handle"
    case .unknownPermit: "unknown permit"
    case .staleReceipt: "stale receipt"
    case .limitReached: "limit reached"
    case .timeout: "timeout"
    case .shuttingDown: "shutting down"
    }
  }
}

/// A request that cannot be answered: the code, and a sentence for people.
public struct ProtocolError: Error, Hashable, Sendable {
  public var code: ErrorCode
  /// Of `unsupportedVersion`, the newest major version that is spoken here; else 0.
  public var detail: UInt16 = 0
  public var text: String

  public init(_ code: ErrorCode, _ text: String) {
    self.code = code
    self.text = text
  }

  /// The answer to a hello of a version that is not served.
  @inline(never) public static var unsupportedVersion: ProtocolError {
    let current = ProtocolVersion.current
    var error = ProtocolError(.unsupportedVersion, "this daemon speaks protocol \(current)")
    error.detail = current.major
    return error
  }
}

/// What a peer may do. Values as on the wire.
@frozen public struct PeerRoles: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Check, peek, acquire, release, batch.
  @inlinable public static var query: PeerRoles { PeerRoles(rawValue: 1) }
  /// Settle, which includes refunds.
  @inlinable public static var settle: PeerRoles { PeerRoles(rawValue: 2) }
  @inlinable public static var observe: PeerRoles { PeerRoles(rawValue: 4) }
  @inlinable public static var administer: PeerRoles { PeerRoles(rawValue: 8) }
}
