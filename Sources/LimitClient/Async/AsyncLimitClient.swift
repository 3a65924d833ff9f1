// The client for async code: no task blocks a thread.

public import LimitProtocol

/// Asks the daemon, and suspends until its answer. Any number of tasks may share one client; what
/// they ask at the same time goes out in one piece.
///
/// A connection is opened when it is first needed, and again when it was lost, with a back-off where
/// it answered nothing. A request that may have reached the daemon is never sent twice; one of
/// which nothing was sent, since the connection was found dead, is asked once more.
///
/// Every function throws `LimitClientError`, within the call's timeout, and `cancelled` as soon as
/// its task is; a permit that the daemon gives then goes back by itself. Where the daemon does not
/// answer, `check`, `acquire` and `batch` do what `whenAway` says.
///
/// A client has one thread from its first call, which reads its sockets and keeps its deadlines; the
/// thread ends with the client, or with `shutDown`. A task that asks while no other does looks for its answer itself,
/// for the configuration's `spin` at most, and suspends only then.
public final class AsyncLimitClient: LimitChecking {
  private let core: ClientCore

  /// Connects to nothing yet.
  ///
  /// - Parameter observer: is told when the daemon goes and comes back.
  public init(
    _ configuration: ClientConfiguration = ClientConfiguration(),
    observer: (any LimitClientObserver)? = nil
  ) {
    core = ClientCore(configuration, isLoopDriven: true, observer: observer)
  }

  /// Closes the connections, which gives back every permit; calls fail with `closed` from then on.
  public func shutDown() { core.shut() }

  // MARK: Queries

  public func check(_ query: LimitQuery, _ options: CallOptions) async throws(LimitClientError)
    -> LimitDecision
  { try await decide(.check, query, options).decision }

  public func peek(_ query: LimitQuery, _ options: CallOptions) async throws(LimitClientError)
    -> LimitDecision
  { try await ask(.peek, query, options).decision }

  public func acquire(_ query: LimitQuery, _ options: CallOptions) async throws(LimitClientError)
    -> LimitAcquisition
  { try await decide(.acquire, query, options) }

  private func decide(
    _ operation: QueryOperation, _ query: LimitQuery, _ options: CallOptions
  ) async throws(LimitClientError) -> LimitAcquisition {
    do throws(LimitClientError) {
      return try await ask(operation, query, options)
    } catch {
      return LimitAcquisition(try core.whenAway(options).decision(for: error))
    }
  }

  private func ask(
    _ operation: QueryOperation, _ query: LimitQuery, _ options: CallOptions
  ) async throws(LimitClientError) -> LimitAcquisition {
    try query.validate()
    let channel = core.channel
    let answer = await core.ask(.query(operation, query), by: channel, core.deadline(options))
    return try core.decision(answer, of: query, by: channel)
  }

  public func batch(_ queries: [LimitQuery], _ options: CallOptions) async -> [Result<
    LimitDecision, LimitClientError
  >] {
    let deadline = core.deadline(options)
    let checked = CheckedBatch(queries)
    let channel = core.channel
    var results = BatchResults(checked.queries, core.whenAway(options))
    await core.ask(checked.queries, by: channel, deadline) { results.read($0, from: channel) }
    for query in results.unknown {
      let question = Question.limits(tenant: query.tenant, policy: query.policy)
      if case .limits(let learnt) = await core.ask(question, by: channel, deadline) {
        results.learn(learnt)
      }
    }
    return checked.merge(results.results)
  }

  // MARK: The rest

  public func settle(_ receipt: LimitReceipt, actual: UInt64, _ options: CallOptions)
    async throws(LimitClientError)
  {
    guard let question = try core.settlement(receipt, actual: actual) else { return }
    _ = try await ask(question, by: core.channel, options)
  }

  /// How long the daemon takes to answer at all.
  ///
  /// - Throws: `LimitClientError` with any code but `refused`.
  public func ping(timeout: Duration? = nil) async throws(LimitClientError) -> Duration {
    let start = Moment.now
    _ = try await ask(.ping, by: core.channel, CallOptions(timeout: timeout))
    return Moment.now.since(start)
  }

  /// The limits of a policy, in its order, as the daemon has them now.
  ///
  /// - Throws: `LimitClientError` with any of its codes; `refused` where the daemon knows no such names.
  public func limits(tenant: String, policy: String, timeout: Duration? = nil)
    async throws(LimitClientError) -> [LimitDescription]
  {
    try Bounds.check(tenant: tenant, policy: policy)
    let question = Question.limits(tenant: tenant, policy: policy)
    let answer = try await ask(question, by: core.channel, CallOptions(timeout: timeout))
    guard case .limits(let names) = answer else {
      throw .violation("a bind was answered by something else")
    }
    return names.limits
  }

  /// What the daemon said of itself and of what this client may do, when the connection began.
  ///
  /// - Throws: `LimitClientError` with any code but `refused`.
  public func hello(timeout: Duration? = nil) async throws(LimitClientError) -> HelloReply {
    let channel = core.channel
    _ = try await ask(.ping, by: channel, CallOptions(timeout: timeout))
    guard let hello = channel.hello else { throw .connectionLost(mayHaveBeenDecided: false) }
    return hello
  }

  private func ask(_ question: Question, by channel: Channel, _ options: CallOptions)
    async throws(LimitClientError) -> Answer
  {
    let answer = await core.ask(question, by: channel, core.deadline(options))
    if case .failure(let error) = answer { throw error }
    return answer
  }
}
