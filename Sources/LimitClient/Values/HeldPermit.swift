// A permit of a concurrency limit, given back when it goes out of scope.

/// A permit that this process holds.
///
/// Belongs to the connection that it was acquired by: where that is lost, the daemon has taken the
/// permit back already, and releasing it does nothing. May be handed to another thread.
public struct HeldPermit: ~Copyable, Sendable {
  private let owner: any PermitOwner
  private let permit: OwnedPermit

  init(_ permit: OwnedPermit, owner: any PermitOwner) {
    self.permit = permit
    self.owner = owner
  }

  /// Gives the permit back. Does not wait for the daemon's answer: what the same connection asks
  /// later is decided with the permit back. Of an async client it never blocks; of a blocking one
  /// at most for the call timeout, where the daemon does not read.
  public consuming func release() {}

  deinit { owner.release(permit) }
}

/// The answer to acquire.
public struct LimitAcquisition: ~Copyable, Sendable {
  public let decision: LimitDecision
  /// Nil on anything but allow, where the policy has no concurrency limit, and where the daemon was
  /// away.
  private var permit: HeldPermit?

  init(decision: LimitDecision, permit: consuming HeldPermit?) {
    self.decision = decision
    self.permit = permit
  }

  /// Whether `takePermit` would return one. Until it is taken, the permit is released with this
  /// value.
  public var hasPermit: Bool {
    switch permit {
    case .some: true
    case .none: false
    }
  }

  /// Moves the permit out.
  public mutating func takePermit() -> HeldPermit? { permit.take() }
}

/// A permit and where it came from.
struct OwnedPermit: Sendable, Hashable {
  /// As on the wire; not 0.
  var number: UInt64
  /// Which of the client's connections.
  var connection: Int
  /// Which incarnation of it.
  var generation: UInt64
}

/// Whoever a permit goes back to. Any thread may call it.
protocol PermitOwner: AnyObject, Sendable {
  func release(_ permit: OwnedPermit)
}
