// The client for code that may block: threads, command lines, services that are not async.

public import LimitProtocol

/// Asks the daemon, and waits for its answer. Any number of threads may share one client: each call
/// has one of its connections (`connectionCount`) to itself, or waits for one within its deadline.
///
/// A connection is opened when it is first needed, and again, after a back-off, when it was lost. A
/// request that may have reached the daemon is never sent twice, since it might be charged twice;
/// one that found a dead connection before anything was sent is.
///
/// Every function throws `ClientError`. Where the daemon does not answer, `check`, `acquire` and
/// `batch` do what `whenAway` says.
public final class BlockingLimitClient: Sendable {
  private let pool: LinkPool
  private let whenAway: WhenAway

  /// Connects to nothing yet.
  public init(_ configuration: ClientConfiguration = ClientConfiguration()) {
    pool = LinkPool(configuration)
    whenAway = configuration.whenAway
  }

  // MARK: Queries

  /// Asks and, where it is allowed, charges.
  ///
  /// - Parameters:
  ///   - tenant: 1 to 255 bytes.
  ///   - policy: 1 to 64 bytes.
  ///   - key: at most what the daemon's hello says, 1,024 bytes by default.
  ///   - cost: units, below 2^48; 0 charges nothing.
  public func check(tenant: String, policy: String, key: String = "", cost: UInt64 = 1)
    throws(ClientError) -> LimitDecision
  { try decide(.check, tenant, policy, .text(key), cost) }

  /// As above, for a key in bytes.
  public func check(
    tenant: String, policy: String, keyBytes: UnsafeRawBufferPointer, cost: UInt64 = 1
  ) throws(ClientError) -> LimitDecision {
    try decide(.check, tenant, policy, .pointer(keyBytes), cost)
  }

  /// What `check` would say, with the figures before any charge. Throws where the daemon is away.
  public func peek(tenant: String, policy: String, key: String = "", cost: UInt64 = 1)
    throws(ClientError) -> LimitDecision
  { try ask(Self.query(.peek, tenant, policy, .text(key), cost)).decision().0 }

  /// As `check`, and holds a permit of the policy's concurrency limits until it is released.
  public func acquire(tenant: String, policy: String, key: String = "", cost: UInt64 = 1)
    throws(ClientError) -> LimitAcquisition
  {
    let question = try Self.query(.acquire, tenant, policy, .text(key), cost)
    let answer: (LimitDecision, OwnedPermit?)
    do throws(ClientError) {
      answer = try ask(question).decision()
    } catch {
      return LimitAcquisition(decision: try whenAway.decision(for: error), permit: nil)
    }
    return LimitAcquisition(
      decision: answer.0, permit: answer.1.map { HeldPermit($0, owner: pool) })
  }

  /// Decides each for itself, in order; pipelined, so that they wait for the daemon once.
  ///
  /// - Returns: for each its decision, or why it was not decided.
  public func batch(_ checks: [LimitCheck]) -> [Result<LimitDecision, ClientError>] {
    var calls: [Call] = []
    var results = checks.map { check -> Result<LimitDecision, ClientError>? in
      do throws(ClientError) {
        calls.append(
          Call(try Self.query(.check, check.tenant, check.policy, .text(check.key), check.cost)))
        return nil
      } catch {
        return .failure(error)
      }
    }
    pool.perform(&calls)
    var answered = calls.makeIterator()
    for place in results.indices where results[place] == nil {
      results[place] = decision(answered.next()?.result)
    }
    return results.map { $0 ?? .failure(.connectionLost) }
  }

  private func decision(_ result: Result<Answer, ClientError>?) -> Result<
    LimitDecision, ClientError
  > {
    Result { () throws(ClientError) in
      do throws(ClientError) {
        guard let result else { throw .connectionLost }
        return try result.get().decision().0
      } catch {
        return try whenAway.decision(for: error)
      }
    }
  }

  // MARK: The rest

  /// Gives back what a decision took. Once per receipt. Does nothing for a decision that took
  /// nothing.
  ///
  /// - Parameter units: how much of it, at most the cost; nil for all.
  public func refund(_ receipt: Receipt, units: UInt64? = nil) throws(ClientError) {
    guard !receipt.isEmpty else { return }
    guard units ?? 0 <= receipt.cost else {
      throw .invalidArgument("the query cost \(receipt.cost), which is less than \(units ?? 0)")
    }
    _ = try ask(.refund(receipt, units: units ?? receipt.cost))
  }

  /// How long the daemon takes to answer at all.
  public func ping() throws(ClientError) -> Duration {
    let start = Moment.now
    _ = try ask(.ping)
    return Moment.now.since(start)
  }

  /// The limits of a policy, in its order.
  public func limits(tenant: String, policy: String) throws(ClientError) -> [LimitDescription] {
    try Bounds.check(tenant: tenant, policy: policy)
    guard case .limits(let limits) = try ask(.limits(tenant: tenant, policy: policy)) else {
      throw .protocolViolation("a bind was answered by something else")
    }
    return limits
  }

  /// What the daemon said of itself and of what this client may do.
  public func hello() throws(ClientError) -> HelloReply {
    guard case .hello(let hello) = try ask(.hello) else { throw .connectionLost }
    return hello
  }

  private static func query(
    _ operation: QueryOperation, _ tenant: String, _ policy: String, _ key: QueryKey,
    _ cost: UInt64
  ) throws(ClientError) -> Question {
    let query = Query(
      operation: operation, tenant: tenant, policy: policy, key: key, cost: cost)
    try query.validate()
    return .query(query)
  }

  private func decide(
    _ operation: QueryOperation, _ tenant: String, _ policy: String, _ key: QueryKey,
    _ cost: UInt64
  ) throws(ClientError) -> LimitDecision {
    let question = try Self.query(operation, tenant, policy, key, cost)
    do throws(ClientError) {
      return try ask(question).decision().0
    } catch {
      return try whenAway.decision(for: error)
    }
  }

  private func ask(_ question: Question) throws(ClientError) -> Answer {
    var calls = [Call(question)]
    pool.perform(&calls)
    guard let result = calls[0].result else { throw .connectionLost }
    return try result.get()
  }
}
