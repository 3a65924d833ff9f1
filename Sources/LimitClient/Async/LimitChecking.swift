// What async code needs of a client, so that tests can put another in its place.

/// Decides. `AsyncLimitClient` asks the daemon; a test has its own.
public protocol LimitChecking: Sendable {
  /// Asks and, where it is allowed, charges.
  func check(_ query: LimitQuery, _ options: CallOptions) async throws(LimitClientError)
    -> LimitDecision

  /// What `check` would say, with the figures before any charge.
  func peek(_ query: LimitQuery, _ options: CallOptions) async throws(LimitClientError)
    -> LimitDecision

  /// As `check`, and holds a permit of the policy's concurrency limits.
  func acquire(_ query: LimitQuery, _ options: CallOptions) async throws(LimitClientError)
    -> LimitAcquisition

  /// Decides each for itself, in order. For each its decision, or why it was not decided.
  func batch(_ queries: [LimitQuery], _ options: CallOptions) async -> [Result<
    LimitDecision, LimitClientError
  >]

  /// Corrects a decision to what it turned out to cost.
  func settle(_ receipt: LimitReceipt, actual: UInt64, _ options: CallOptions)
    async throws(LimitClientError)
}

extension LimitChecking {
  /// Asks and, where it is allowed, charges.
  ///
  /// - Parameters:
  ///   - tenant: 1 to 255 bytes.
  ///   - policy: 1 to 64 bytes.
  ///   - key: at most what the daemon's hello says, 1,024 bytes by default.
  ///   - cost: units, below 2^48; 0 charges nothing.
  ///   - timeout: as `CallOptions` says.
  ///   - whenAway: as `CallOptions` says.
  public func check(
    tenant: String, policy: String, key: String = "", cost: UInt64 = 1, timeout: Duration? = nil,
    whenAway: WhenAway? = nil
  ) async throws(LimitClientError) -> LimitDecision {
    try await check(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout, whenAway: whenAway))
  }

  /// As above, for a key in bytes.
  public func check(
    tenant: String, policy: String, key: LimitKey, cost: UInt64 = 1, timeout: Duration? = nil,
    whenAway: WhenAway? = nil
  ) async throws(LimitClientError) -> LimitDecision {
    try await check(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout, whenAway: whenAway))
  }

  /// What `check` would say, with the figures before any charge. Parameters as there; throws where
  /// the daemon is away.
  public func peek(
    tenant: String, policy: String, key: String = "", cost: UInt64 = 1, timeout: Duration? = nil
  ) async throws(LimitClientError) -> LimitDecision {
    try await peek(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout))
  }

  /// As `check`, and holds a permit of the policy's concurrency limits until it is released.
  public func acquire(
    tenant: String, policy: String, key: String = "", cost: UInt64 = 1, timeout: Duration? = nil,
    whenAway: WhenAway? = nil
  ) async throws(LimitClientError) -> LimitAcquisition {
    try await acquire(
      LimitQuery(tenant: tenant, policy: policy, key: key, cost: cost),
      CallOptions(timeout: timeout, whenAway: whenAway))
  }

  /// Decides each for itself, in order.
  public func batch(_ queries: [LimitQuery]) async -> [Result<LimitDecision, LimitClientError>] {
    await batch(queries, CallOptions())
  }

  /// Corrects a decision to what it turned out to cost: gives back, or books what is beyond it
  /// whether it fits or not. Once per receipt. Does nothing for a decision that took nothing.
  ///
  /// - Parameter actual: units, below 2^48.
  public func settle(_ receipt: LimitReceipt, actual: UInt64, timeout: Duration? = nil)
    async throws(LimitClientError)
  { try await settle(receipt, actual: actual, CallOptions(timeout: timeout)) }

  /// Gives back what a decision took: settles it to nothing.
  public func refund(_ receipt: LimitReceipt, timeout: Duration? = nil)
    async throws(LimitClientError)
  {
    try await settle(receipt, actual: 0, CallOptions(timeout: timeout))
  }

  /// Does work under a permit of the policy's concurrency limits, and gives it back then.
  ///
  /// - Parameter work: is given what `acquire` said; not called unless that was allow.
  /// - Throws: `LimitClientError`, or what the work throws.
  public func withPermit<Value>(
    tenant: String, policy: String, key: String = "", cost: UInt64 = 1, timeout: Duration? = nil,
    whenAway: WhenAway? = nil, isolation: isolated (any Actor)? = #isolation,
    _ work: (LimitAcquisition) async throws -> Value
  ) async throws -> PermitOutcome<Value> {
    let acquisition = try await acquire(
      tenant: tenant, policy: policy, key: key, cost: cost, timeout: timeout, whenAway: whenAway)
    guard acquisition.decision.isAllowed else { return .refused(acquisition.decision) }
    defer { acquisition.permit?.release() }
    return .done(try await work(acquisition))
  }
}
