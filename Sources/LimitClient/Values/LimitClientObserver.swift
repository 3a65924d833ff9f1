// Who wants to know how a client fares.

/// Is told when the daemon goes, comes back, and takes permits with it, one thing after another and in
/// order. Functions may be added, with a default.
///
/// Called on a thread of the client's, soon after the calls that found out; so it may call the client, and take
/// locks that callers of the client hold. The async client answers nobody meanwhile: it must not wait there
/// for one of its calls. Where it takes so long for one thing that 32 others wait, the oldest
/// going and coming back among them are left out; lost permits are all told.
public protocol LimitClientObserver: Sendable {
  /// A connection was lost, or could not be had. Told once until `limitdIsBack`.
  func limitdIsAway(_ error: LimitClientError)
  /// There is a connection again.
  func limitdIsBack()
  /// A connection was lost that held so many permits; the daemon has taken them back.
  func permitsWereLost(_ count: Int)
}

extension LimitClientObserver {
  public func limitdIsAway(_ error: LimitClientError) {}
  public func limitdIsBack() {}
  public func permitsWereLost(_ count: Int) {}
}

#if SwiftLog
public import Logging

/// An observer that writes to swift-log: `warning` for away and lost permits, `notice` for back.
public struct LoggingObserver: LimitClientObserver {
  private let log: Logger

  public init(_ log: Logger) { self.log = log }

  public func limitdIsAway(_ error: LimitClientError) {
    log.warning("limitd is away", metadata: ["error": "\(error)", "code": "\(error.code)"])
  }

  public func limitdIsBack() { log.notice("limitd is back") }

  public func permitsWereLost(_ count: Int) {
    log.warning("permits were lost", metadata: ["count": "\(count)"])
  }
}
#endif
