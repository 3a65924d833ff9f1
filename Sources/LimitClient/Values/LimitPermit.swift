// A permit of a concurrency limit. Any thread may use it.

internal import Synchronization

/// A permit that this process holds, until it is released or let go.
///
/// Belongs to the connection that it was acquired by: where that is lost, the daemon has taken the
/// permit back, and an observer is told.
public final class LimitPermit: Sendable {
  private enum Source: Sendable {
    case daemon(Channel, GivenPermit, ClientCore)
    case test(@Sendable () -> Void)
  }

  private let source: Source
  private let isReleased = Atomic<Bool>(false)

  init(_ permit: GivenPermit, of channel: Channel, keeping core: ClientCore) {
    source = .daemon(channel, permit, core)
  }

  /// A permit without a daemon, for tests of code that holds one.
  ///
  /// - Parameter released: is called once, when it is released.
  public init(released: @escaping @Sendable () -> Void = {}) { source = .test(released) }

  /// Gives the permit back. Once; again does nothing. Does not wait for the daemon: what the same
  /// client asks later is decided with the permit back, where it has one connection.
  public func release() {
    // Relaxed: the exchange alone decides who releases, and orders nothing else.
    guard !isReleased.exchange(true, ordering: .relaxed) else { return }
    switch source {
    case .daemon(let channel, let permit, _): channel.release(permit)
    case .test(let released): released()
    }
  }

  /// Whether the daemon still counts it: not released, and its connection stands. O(1), at most a
  /// look at the socket.
  public var isHeld: Bool {
    guard !isReleased.load(ordering: .relaxed) else { return false }
    guard case .daemon(let channel, let permit, _) = source else { return true }
    return channel.holds(permit)
  }

  deinit { release() }
}

/// The answer to acquire.
public struct LimitAcquisition: Sendable {
  public let decision: LimitDecision
  /// Nil on anything but allow, where the policy has no concurrency limit, and where the daemon was
  /// away. It is released when nobody keeps it.
  public let permit: LimitPermit?

  /// An answer, also for tests of code that asks.
  public init(_ decision: LimitDecision, _ permit: LimitPermit? = nil) {
    self.decision = decision
    self.permit = permit
  }
}

/// What came of work under a permit.
public enum PermitOutcome<Value> {
  /// The work was done, and returned this.
  case done(Value)
  /// It was not begun.
  case refused(LimitDecision)

  /// What the work returned; nil where it was not begun.
  public var value: Value? {
    if case .done(let value) = self { return value }
    return nil
  }
}

extension PermitOutcome: Sendable where Value: Sendable {}
