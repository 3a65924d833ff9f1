// Why a call has no answer. A denial is an answer, and never here. Values: any thread may use them.

public import LimitProtocol

/// Why a call has no answer. Codes may be added: a `switch` over `code` needs a `default`.
public struct LimitClientError: Error, Hashable, Sendable {
  /// What went wrong.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    /// As in `LimitClientError.Code.timedOut`: "timedOut".
    public let description: String
    private init(_ name: String) { description = name }

    /// There is no connection: nobody listens, the daemon is full, or it did not greet in time; or this
    /// process has no descriptor or thread left for it.
    public static let unreachable = Code("unreachable")
    /// The daemon does not speak this version of the protocol.
    public static let unsupportedVersion = Code("unsupportedVersion")
    /// The daemon did not answer in time.
    public static let timedOut = Code("timedOut")
    /// The connection broke while the call was on its way.
    public static let connectionLost = Code("connectionLost")
    /// The daemon sent what the protocol does not allow; the connection was given up.
    public static let protocolViolation = Code("protocolViolation")
    /// More requests wait to be sent than a connection keeps (1 MiB).
    public static let overloaded = Code("overloaded")
    /// The daemon answered with an error: see `daemonError`.
    public static let refused = Code("refused")
    /// An argument is out of its bounds.
    public static let invalidArgument = Code("invalidArgument")
    /// The task was cancelled.
    public static let cancelled = Code("cancelled")
    /// The client was shut down.
    public static let closed = Code("closed")
    /// This process was forked from the one that made the client: make another.
    public static let forked = Code("forked")
  }

  public var code: Code
  /// A sentence for people.
  public var message: String
  /// Whether the daemon may have decided the request, or may yet; a permit that it would have had
  /// goes back by itself. False: it was not and will not be, so that it may be asked again.
  public var mayHaveBeenDecided: Bool
  /// errno(3) of `unreachable`; 0 where the system gave none.
  public var systemError: Int32
  /// The number of the daemon's error, 0 where it gave none. See `daemonError`.
  public var daemonErrorNumber: UInt16

  /// The daemon's error; nil where it gave none, or for one of a later version.
  public var daemonError: ErrorCode? { ErrorCode(rawValue: daemonErrorNumber) }

  /// - Parameters: as the properties of these names.
  public init(
    _ code: Code, _ message: String, mayHaveBeenDecided: Bool = false, systemError: Int32 = 0,
    daemonErrorNumber: UInt16 = 0
  ) {
    self.code = code
    self.message = message
    self.mayHaveBeenDecided = mayHaveBeenDecided
    self.systemError = systemError
    self.daemonErrorNumber = daemonErrorNumber
  }

  /// Whether the daemon gave no answer, which is what `WhenAway` is about: `unreachable`,
  /// `unsupportedVersion`, `timedOut`, `connectionLost`, `protocolViolation` and `overloaded`. A
  /// refusal is an answer; the rest is the caller's doing.
  public var isAway: Bool { Self.awayCodes.contains(code) }

  private static let awayCodes: Set<Code> = [
    .unreachable, .unsupportedVersion, .timedOut, .connectionLost, .protocolViolation, .overloaded,
  ]
}

extension LimitClientError: CustomStringConvertible {
  /// A sentence for people.
  public var description: String { message }
}

extension LimitClientError {
  /// An argument out of its bounds; nothing was sent.
  public static func invalidArgument(_ why: String) -> LimitClientError {
    LimitClientError(.invalidArgument, why)
  }

  /// No answer in time.
  public static func timedOut(mayHaveBeenDecided: Bool) -> LimitClientError {
    LimitClientError(
      .timedOut, "limitd did not answer in time", mayHaveBeenDecided: mayHaveBeenDecided)
  }

  /// The connection broke.
  public static func connectionLost(mayHaveBeenDecided: Bool) -> LimitClientError {
    LimitClientError(
      .connectionLost, "the connection to limitd was lost", mayHaveBeenDecided: mayHaveBeenDecided)
  }

  static func unreachable(_ why: String, systemError: Int32 = 0) -> LimitClientError {
    LimitClientError(.unreachable, "limitd cannot be reached: \(why)", systemError: systemError)
  }

  static func violation(_ why: String) -> LimitClientError {
    LimitClientError(
      .protocolViolation, "limitd broke the protocol: \(why)", mayHaveBeenDecided: true)
  }

  static var cancelled: LimitClientError {
    LimitClientError(.cancelled, "the task was cancelled", mayHaveBeenDecided: true)
  }

  static var closed: LimitClientError {
    LimitClientError(.closed, "the client was shut down")
  }

  /// The daemon's answer to a request.
  static func refused(_ reply: ErrorReply) -> LimitClientError {
    LimitClientError(
      .refused, "limitd refused: \(reply.described)", daemonErrorNumber: reply.code)
  }

  /// The daemon's answer to hello.
  static func notGreeted(_ reply: ErrorReply) -> LimitClientError {
    let isVersion = reply.code == ErrorCode.unsupportedVersion.rawValue
    return LimitClientError(
      isVersion ? .unsupportedVersion : .unreachable, "limitd refused: \(reply.described)",
      daemonErrorNumber: reply.code)
  }

  /// An error that answers no request: the daemon is about to close.
  static func ended(_ reply: ErrorReply) -> LimitClientError {
    LimitClientError(
      .connectionLost, "limitd ended the connection: \(reply.described)", mayHaveBeenDecided: true,
      daemonErrorNumber: reply.code)
  }

  /// The same failure for a request of which more or less is known.
  func with(mayHaveBeenDecided: Bool) -> LimitClientError {
    var copy = self
    copy.mayHaveBeenDecided = mayHaveBeenDecided
    return copy
  }
}

extension ErrorReply {
  fileprivate var described: String {
    "\(ErrorCode(rawValue: code)?.name ?? "error \(code)"): \(text)"
  }
}
