// Where the daemon is and how long to wait for it. A value: any thread may use it.

internal import Glibc
internal import LimitProtocol

/// How a client reaches the daemon.
public struct ClientConfiguration: Sendable, Hashable {
  /// The daemon's Unix socket, at most 107 bytes: one that is longer cannot be reached, which is a daemon that is
  /// away. Default: the environment's `LIMITD_SOCKET`, else
  /// `/run/limitd/limitd.sock`.
  public var socketPath: String
  /// For the daemon's log. What is beyond 64 bytes is cut off.
  public var clientName: String
  /// The most that one attempt to connect, its hello included, may take. It goes on where the call
  /// that began it has run out of time. Default: 1 s.
  public var connectTimeout: Duration
  /// The most that a call may take, connecting included. Default: 250 ms. Zero or less sends nothing, and times out.
  public var callTimeout: Duration
  /// What a caller of check, acquire or batch gets when the daemon did not answer.
  public var whenAway: WhenAway
  /// How long calls fail at once after a first failed attempt to connect. Doubles with each further
  /// one, less a random part of up to a half. Default: 10 ms.
  public var backOffFirst: Duration
  /// The longest back-off. Default: 1 s.
  public var backOffMax: Duration
  /// Of the async client: the longest that a task that asks alone looks for its answer, on its
  /// thread, before it suspends. Default: 50 µs. 0: it suspends at once.
  public var spin: Duration
  /// Connections that a client keeps, at least 1; less counts as that. Default: 1, which serves any number of threads or
  /// tasks. More let several of the daemon's event loops work for this client.
  public var connectionCount: Int

  /// A configuration with the defaults above where nothing else is said. O(1), reads the
  /// environment.
  public init(
    socketPath: String? = nil, clientName: String = "swift", connectTimeout: Duration = .seconds(1),
    callTimeout: Duration = .milliseconds(250), whenAway: WhenAway = .throw,
    backOffFirst: Duration = .milliseconds(10), backOffMax: Duration = .seconds(1),
    spin: Duration = .microseconds(50), connectionCount: Int = 1
  ) {
    self.socketPath = socketPath ?? Self.socketPathDefault
    self.clientName = clientName
    self.connectTimeout = connectTimeout
    self.callTimeout = callTimeout
    self.whenAway = whenAway
    self.backOffFirst = backOffFirst
    self.backOffMax = backOffMax
    self.spin = spin
    self.connectionCount = connectionCount
  }

  /// The environment's `LIMITD_SOCKET`, or `/run/limitd/limitd.sock` where it is not set or empty.
  public static var socketPathDefault: String {
    guard let path = getenv("LIMITD_SOCKET"), path.pointee != 0 else {
      return "/run/limitd/limitd.sock"
    }
    return String(cString: path)
  }

  /// The client's name, cut at a character to what the protocol takes.
  var clientNameCut: String {
    var name = clientName
    while name.utf8.count > HelloRequest.clientNameBytesMax { name.removeLast() }
    return name
  }
}
