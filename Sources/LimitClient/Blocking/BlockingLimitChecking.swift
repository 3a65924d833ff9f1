// What code that blocks needs of a client, so that tests can put another in its place.

/// Decides. `BlockingLimitClient` asks the daemon; a test has its own.
public protocol BlockingLimitChecking: Sendable {
  /// Asks and, where it is allowed, charges.
  ///
  /// - Parameters:
  ///   - query: whom it is for, and its cost in units.
  ///   - options: the time it may take, and what it gives where the daemon is away.
  /// - Throws: `LimitClientError` with any of its codes, but those that are `isAway` only where `whenAway` is
  ///   `throw`. A denial is no error.
  @available(*, noasync)
  func check(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError) -> LimitDecision

  /// What `check` would say, with the figures before any charge.
  ///
  /// - Parameters: as those of `check`; there is no answer in place of the daemon's, whatever `whenAway` says.
  /// - Throws: `LimitClientError` with any of its codes.
  @available(*, noasync)
  func peek(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError) -> LimitDecision

  /// As `check`, and holds a permit of the policy's concurrency limits.
  ///
  /// - Parameters: as those of `check`.
  /// - Returns: the decision, and the permit where that is allow and the policy has such a limit. The permit
  ///   is released when nobody keeps it.
  /// - Throws: as `check`. A permit that the daemon gave all the same goes back by itself.
  @available(*, noasync)
  func acquire(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError)
    -> LimitAcquisition

  /// Decides each for itself, in order.
  ///
  /// - Parameters:
  ///   - queries: any number of checks.
  ///   - options: as those of `check`; the time is that of all together.
  /// - Returns: for each query in its place the decision, or what `check` would throw. O(queries).
  @available(*, noasync)
  func batch(_ queries: [LimitQuery], _ options: CallOptions) -> [Result<
    LimitDecision, LimitClientError
  >]

  /// Corrects a decision to what it turned out to cost: gives back, or books what is beyond it whether it
  /// fits or not. Does nothing for a decision that took nothing.
  ///
  /// - Parameters:
  ///   - receipt: of the decision; to be used once.
  ///   - actual: units, below 2^48; 0 gives everything back.
  ///   - options: the time it may take. `whenAway` says nothing here.
  /// - Throws: `LimitClientError` with any of its codes; `refused` with `ErrorCode.staleReceipt` where the
  ///   policy's limits are others by now, and nothing was changed then.
  @available(*, noasync)
  func settle(_ receipt: LimitReceipt, actual: UInt64, _ options: CallOptions)
    throws(LimitClientError)
}

extension BlockingLimitChecking {
  /// Asks and, where it is allowed, charges.
  ///
  /// - Parameters:
  ///   - tenant: 1 to 255 bytes.
  ///   - policy: 1 to 64 bytes.
  ///   - key: at most what the daemon's hello says, 1,024 bytes by default.
  ///   - cost: units, below 2^48; 0 charges nothing.
  ///   - timeout: as `CallOptions` says.
  ///   - whenAway: as `CallOptions` says.
  /// - Throws: as `check(_:_:)`.
  @available(*, noasync)
  public func check(
    tenant: String, policy: String, key: String = "", cost: UInt64 = 1, timeout: Duration? = nil,
    whenAway: WhenAway? = nil
  ) throws(LimitClientError) -> LimitDecision {
    try check(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout, whenAway: whenAway))
  }

  /// As above, for a key in bytes. Throws as `check(_:_:)`.
  @available(*, noasync)
  public func check(
    tenant: String, policy: String, key: LimitKey, cost: UInt64 = 1, timeout: Duration? = nil,
    whenAway: WhenAway? = nil
  ) throws(LimitClientError) -> LimitDecision {
    try check(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout, whenAway: whenAway))
  }

  /// What `check` would say, with the figures before any charge. Parameters as there; throws as
  /// `peek(_:_:)`.
  @available(*, noasync)
  public func peek(
    tenant: String, policy: String, key: String = "", cost: UInt64 = 1, timeout: Duration? = nil
  ) throws(LimitClientError) -> LimitDecision {
    try peek(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout))
  }

  /// As above, for a key in bytes. Throws as `peek(_:_:)`.
  @available(*, noasync)
  public func peek(
    tenant: String, policy: String, key: LimitKey, cost: UInt64 = 1, timeout: Duration? = nil
  ) throws(LimitClientError) -> LimitDecision {
    try peek(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout))
  }

  /// As `check`, and holds a permit of the policy's concurrency limits until it is released. Parameters as
  /// there; throws as `acquire(_:_:)`.
  @available(*, noasync)
  public func acquire(
    tenant: String, policy: String, key: String = "", cost: UInt64 = 1, timeout: Duration? = nil,
    whenAway: WhenAway? = nil
  ) throws(LimitClientError) -> LimitAcquisition {
    try acquire(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout, whenAway: whenAway))
  }

  /// As above, for a key in bytes. Throws as `acquire(_:_:)`.
  @available(*, noasync)
  public func acquire(
    tenant: String, policy: String, key: LimitKey, cost: UInt64 = 1, timeout: Duration? = nil,
    whenAway: WhenAway? = nil
  ) throws(LimitClientError) -> LimitAcquisition {
    try acquire(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout, whenAway: whenAway))
  }

  /// Decides each for itself, in order: see `batch(_:_:)`. `timeout` is that of all together.
  @available(*, noasync)
  public func batch(
    _ queries: [LimitQuery], timeout: Duration? = nil, whenAway: WhenAway? = nil
  ) -> [Result<LimitDecision, LimitClientError>] {
    batch(queries, CallOptions(timeout: timeout, whenAway: whenAway))
  }

  /// Corrects a decision to what it turned out to cost: gives back, or books what is beyond it
  /// whether it fits or not. Once per receipt. Does nothing for a decision that took nothing.
  ///
  /// - Parameter actual: units, below 2^48.
  /// - Throws: as `settle(_:actual:_:)`.
  @available(*, noasync)
  public func settle(_ receipt: LimitReceipt, actual: UInt64, timeout: Duration? = nil)
    throws(LimitClientError)
  { try settle(receipt, actual: actual, CallOptions(timeout: timeout)) }

  /// Gives back what a decision took: settles it to nothing. Throws as `settle(_:actual:_:)`.
  @available(*, noasync)
  public func refund(_ receipt: LimitReceipt, timeout: Duration? = nil) throws(LimitClientError) {
    try settle(receipt, actual: 0, CallOptions(timeout: timeout))
  }

  /// Does work under a permit of the policy's concurrency limits, and gives it back then.
  ///
  /// - Parameters:
  ///   - query: as that of `acquire(_:_:)`.
  ///   - options: as those of `acquire(_:_:)`. Where `whenAway` allows, the work is done without a permit.
  ///   - work: is given what `acquire` said; not called unless that was allow.
  /// - Throws: `LimitClientError`, or what the work throws.
  @available(*, noasync)
  public func withPermit<Value>(
    _ query: LimitQuery, _ options: CallOptions = CallOptions(),
    _ work: (LimitAcquisition) throws -> Value
  ) throws -> PermitOutcome<Value> {
    let acquisition = try acquire(query, options)
    guard acquisition.decision.isAllowed else { return .refused(acquisition.decision) }
    defer { acquisition.permit?.release() }
    return .done(try work(acquisition))
  }

  /// Does work under a permit: as above, which has the parameters.
  @available(*, noasync)
  public func withPermit<Value>(
    tenant: String, policy: String, key: String = "", cost: UInt64 = 1, timeout: Duration? = nil,
    whenAway: WhenAway? = nil, _ work: (LimitAcquisition) throws -> Value
  ) throws -> PermitOutcome<Value> {
    try withPermit(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout, whenAway: whenAway), work)
  }
}
