// Permits: units of concurrency limits, held until they are released.

extension Engine {
  /// Decides a query as `check` does and, if it is admitted, also holds its units of the policy's
  /// concurrency limits until the permit is released.
  public func acquire(_ query: Query, under policies: borrowing PolicySet, at now: Instant)
    -> Acquisition
  {
    var permit = Permit()
    let decision = decide(query, under: policies, at: now, intent: .acquire) { slot, units in
      permit.add(slot, units: units)
    }
    if decision.outcome == .allow { return Acquisition(decision: decision, permit: permit) }
    return Acquisition(decision: decision, permit: nil)
  }

  /// Returns a permit. A bucket with units held is never reused, so the permit's slots are still
  /// its own, whatever has become of the policy.
  public func release(_ permit: consuming Permit) {
    for place in 0..<permit.count {
      let (slot, units) = permit[place]
      // Lock-free: a failed exchange means that another thread took or returned units.
      while true {
        let current = slot.loadCurrent()
        if slot.exchangeCurrent(current, with: Concurrency.release(current, cost: units)) { break }
      }
    }
  }
}

/// The answer to `acquire`, with a permit if it was admitted.
public struct Acquisition: ~Copyable, Sendable {
  public let decision: Decision
  public var permit: Permit?

  init(decision: Decision, permit: consuming Permit?) {
    self.decision = decision
    self.permit = permit
  }

  /// Moves the permit out.
  public mutating func takePermit() -> Permit? {
    let taken = permit.take()
    return taken
  }
}

/// Units held of a policy's concurrency limits. It cannot be copied and `Engine.release` consumes
/// it, so it is returned at most once; who drops it without returning it holds its units for good.
public struct Permit: ~Copyable, @unchecked Sendable {
  private typealias Hold = (slot: Slot, units: UInt64)

  private var holds: (Hold?, Hold?, Hold?, Hold?) = (nil, nil, nil, nil)
  /// How many concurrency limits the permit holds units of, 0 ... 4.
  public private(set) var count = 0

  init() {}

  mutating func add(_ slot: Slot, units: UInt64) {
    switch count {
    case 0: holds.0 = (slot, units)
    case 1: holds.1 = (slot, units)
    case 2: holds.2 = (slot, units)
    default: holds.3 = (slot, units)
    }
    count += 1
  }

  subscript(place: Int) -> (slot: Slot, units: UInt64) {
    switch place {
    case 0: holds.0!
    case 1: holds.1!
    case 2: holds.2!
    default: holds.3!
    }
  }
}
