// Why a call has no answer. A denial is an answer, and never here.

public import LimitProtocol

/// Why a call has no answer.
public enum ClientError: Error, Hashable, Sendable {
  /// No connection: the system's error number (0 where it gave none), and a sentence for people.
  /// Nothing was sent.
  case unreachable(errno: Int32, why: String)
  /// The daemon did not answer in time. The request may have been, or may yet be, decided.
  case timedOut
  /// The connection broke after the request was, perhaps, sent. It may have been decided.
  case connectionLost
  /// The daemon answered with an error. `code` is nil where the code is one of a later version.
  case refused(code: ErrorCode?, rawCode: UInt16, text: String)
  /// The daemon sent what the protocol does not allow; the connection was given up. The request may
  /// have been decided.
  case protocolViolation(String)
  /// An argument is out of its bounds. Nothing was sent.
  case invalidArgument(String)
  /// The task was cancelled. The request may have been, or may yet be, decided; a permit that it
  /// would have had is given back.
  case cancelled

  /// Whether the daemon gave no answer at all, which is what `WhenAway` is about. A refusal is an
  /// answer; arguments out of bounds and cancellations are the caller's doing.
  public var isAway: Bool {
    switch self {
    case .unreachable, .timedOut, .connectionLost, .protocolViolation: true
    case .refused, .invalidArgument, .cancelled: false
    }
  }

  /// An error reply.
  init(_ reply: ErrorReply) {
    self = .refused(code: ErrorCode(rawValue: reply.code), rawCode: reply.code, text: reply.text)
  }
}

extension ClientError: CustomStringConvertible {
  /// A sentence for people.
  public var description: String {
    switch self {
    case .unreachable(_, let why): "limitd cannot be reached: \(why)"
    case .timedOut: "limitd did not answer in time"
    case .connectionLost: "the connection to limitd was lost"
    case .refused(let code, let rawCode, let text):
      "limitd refused: \(code?.name ?? "error \(rawCode)"): \(text)"
    case .protocolViolation(let why): "limitd broke the protocol: \(why)"
    case .invalidArgument(let why): why
    case .cancelled: "the task was cancelled"
    }
  }
}
