// The client for code that may block: threads, command lines, services that are not async.

public import LimitProtocol

/// Asks the daemon, and waits for its answer. Any number of threads may share one client: their
/// calls share its connections, and are answered in the order in which they came.
///
/// A connection is opened when it is first needed, and again when it was lost, with a back-off where
/// it answered nothing. A request that may have reached the daemon is never sent twice; one of
/// which nothing was sent, since the connection was found dead, is asked once more.
///
/// Every function throws `LimitClientError`, within the call's timeout. Where the daemon does not
/// answer, `check`, `acquire` and `batch` do what `whenAway` says.
public final class BlockingLimitClient: BlockingLimitChecking {
  private let core: ClientCore

  /// Connects to nothing yet.
  ///
  /// - Parameter observer: is told when the daemon goes and comes back.
  public init(
    _ configuration: ClientConfiguration = ClientConfiguration(),
    observer: (any LimitClientObserver)? = nil
  ) {
    core = ClientCore(configuration, isLoopDriven: false, observer: observer)
  }

  // MARK: Queries

  @available(*, noasync)
  public func check(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError)
    -> LimitDecision
  { try decide(.check, query, options).decision }

  @available(*, noasync)
  public func peek(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError)
    -> LimitDecision
  { try ask(.peek, query, options).decision }

  @available(*, noasync)
  public func acquire(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError)
    -> LimitAcquisition
  { try decide(.acquire, query, options) }

  private func decide(
    _ operation: QueryOperation, _ query: LimitQuery, _ options: CallOptions
  ) throws(LimitClientError) -> LimitAcquisition {
    do throws(LimitClientError) {
      return try ask(operation, query, options)
    } catch {
      return LimitAcquisition(try core.whenAway(options).decision(for: error))
    }
  }

  private func ask(
    _ operation: QueryOperation, _ query: LimitQuery, _ options: CallOptions
  ) throws(LimitClientError) -> LimitAcquisition {
    try query.validate()
    let channel = core.channel
    let answer = channel.ask(.query(operation, query), until: core.deadline(options))
    return try core.decision(answer, of: query, by: channel)
  }

  @available(*, noasync)
  public func batch(_ queries: [LimitQuery], _ options: CallOptions) -> [Result<
    LimitDecision, LimitClientError
  >] {
    let deadline = core.deadline(options)
    let checked = CheckedBatch(queries)
    let channel = core.channel
    var results = BatchResults(checked.queries, core.whenAway(options))
    channel.ask(checked.queries, until: deadline) { results.read($0, from: channel) }
    for query in results.unknown {
      let question = Question.limits(tenant: query.tenant, policy: query.policy)
      if case .limits(let learnt) = channel.ask(question, until: deadline) { results.learn(learnt) }
    }
    return checked.merge(results.results)
  }

  // MARK: The rest

  @available(*, noasync)
  public func settle(_ receipt: LimitReceipt, actual: UInt64, _ options: CallOptions)
    throws(LimitClientError)
  {
    guard let question = try core.settlement(receipt, actual: actual) else { return }
    _ = try ask(question, options)
  }

  /// How long the daemon takes to answer at all.
  ///
  /// - Throws: `LimitClientError` with any code but `refused`.
  @available(*, noasync)
  public func ping(timeout: Duration? = nil) throws(LimitClientError) -> Duration {
    let start = Moment.now
    _ = try ask(.ping, CallOptions(timeout: timeout))
    return Moment.now.since(start)
  }

  /// The limits of a policy, in its order, as the daemon has them now.
  ///
  /// - Throws: `LimitClientError` with any of its codes; `refused` where the daemon knows no such names.
  @available(*, noasync)
  public func limits(tenant: String, policy: String, timeout: Duration? = nil)
    throws(LimitClientError) -> [LimitDescription]
  {
    try Bounds.check(tenant: tenant, policy: policy)
    let question = Question.limits(tenant: tenant, policy: policy)
    guard case .limits(let names) = try ask(question, CallOptions(timeout: timeout)) else {
      throw .violation("a bind was answered by something else")
    }
    return names.limits
  }

  /// What the daemon said of itself and of what this client may do, when the connection began.
  ///
  /// - Throws: `LimitClientError` with any code but `refused`.
  @available(*, noasync)
  public func hello(timeout: Duration? = nil) throws(LimitClientError) -> HelloReply {
    let channel = core.channel
    let answer = channel.ask(.ping, until: core.deadline(CallOptions(timeout: timeout)))
    if case .failure(let error) = answer { throw error }
    guard let hello = channel.hello else { throw .connectionLost(mayHaveBeenDecided: false) }
    return hello
  }

  private func ask(_ question: Question, _ options: CallOptions) throws(LimitClientError) -> Answer
  {
    let answer = core.channel.ask(question, until: core.deadline(options))
    if case .failure(let error) = answer { throw error }
    return answer
  }
}

/// The queries of a batch that are within their bounds, and the places of those that are not.
struct CheckedBatch {
  private(set) var queries: [LimitQuery]
  private var failures: [Int: LimitClientError] = [:]

  init(_ queries: [LimitQuery]) {
    self.queries = queries
    for place in queries.indices {
      do throws(LimitClientError) { try queries[place].validate() } catch {
        failures[place] = error
      }
    }
    guard !failures.isEmpty else { return }
    self.queries = queries.enumerated().filter { failures[$0.offset] == nil }.map(\.element)
  }

  /// The results of all, where `results` are those of `queries`.
  func merge(_ results: [Result<LimitDecision, LimitClientError>]) -> [Result<
    LimitDecision, LimitClientError
  >] {
    guard !failures.isEmpty else { return results }
    var merged: [Result<LimitDecision, LimitClientError>] = []
    var rest = results.makeIterator()
    for place in 0..<results.count + failures.count {
      if let error = failures[place] {
        merged.append(.failure(error))
      } else if let result = rest.next() {
        merged.append(result)
      }
    }
    return merged
  }
}
