// One connection of a client, opened when it is needed and opened again when it was lost.
//
//     perform(calls): open ─▶ write all requests ─▶ send and receive ─▶ every call has its result
//
// Both clients stand on this: the blocking one performs one call (or a batch) at a time, the async
// one all calls that wait. One owner at a time; never blocks beyond the deadline it is given.

internal import LimitProtocol

/// A connection, its handles, and the back-off between attempts to open it.
final class Link {
  /// What is expected of a reply.
  enum Purpose {
    /// The answer to call `call` of the round.
    case call
    /// The names that a binding's handle stands for.
    case bind(Binding)
    /// As `bind`, and then the call's decision has its names.
    case names(Binding)
    /// Nothing: a release, whose reply says nothing new.
    case nothing
  }

  struct Context {
    /// Replies of rounds that are over are dropped.
    var round: UInt64
    var call: Int
    var purpose: Purpose
    var binding: Binding?
  }

  /// What there is of a connection while it stands.
  final class Open {
    let socket: Socket
    var session: WireSession<Context>
    let hello: HelloReply
    var handles: HandleTable

    init(
      _ socket: consuming Socket, _ session: consuming WireSession<Context>, _ hello: HelloReply
    ) {
      self.socket = socket
      self.session = session
      self.hello = hello
      handles = HandleTable(countMax: Int(hello.handlesMax))
    }
  }

  let number: Int
  let configuration: ClientConfiguration
  var open: Open?
  /// Counts connections: a permit belongs to one of them.
  private(set) var generation: UInt64 = 0
  private var round: UInt64 = 0
  private var backOff: BackOff
  private var silence = SilenceWatch()
  private var nextID: UInt32 = 1

  init(_ configuration: ClientConfiguration, number: Int) {
    self.configuration = configuration
    self.number = number
    backOff = BackOff(first: configuration.backOffFirst, max: configuration.backOffMax)
  }

  /// Asks everything at once, and fills in each call's result.
  ///
  /// - Parameter deadline: of the calls; opening the connection first may take `connectTimeout`
  ///   more.
  func perform(_ calls: inout [Call], until deadline: Moment) {
    round += 1
    do throws(ClientError) {
      let isFresh = try openIfNeeded()
      let start = isFresh ? Moment.after(configuration.callTimeout) : deadline
      ask(&calls)
      try exchange(&calls, until: max(start, deadline))
    } catch {
      lose(&calls, error, mayRetry: true)
    }
  }

  // MARK: Opening and losing

  /// - Returns: whether the connection was opened just now.
  private func openIfNeeded() throws(ClientError) -> Bool {
    guard open == nil else { return false }
    try backOff.check(at: .now)
    do throws(ClientError) {
      let socket = try Socket(
        connectingTo: configuration.socketPath, timeout: configuration.connectTimeout)
      var session = WireSession<Context>()
      let hello = try Greeting.perform(
        socket, &session, context: Context(round: 0, call: 0, purpose: .nothing),
        clientName: configuration.clientNameCut, until: .after(configuration.connectTimeout))
      generation += 1
      open = Open(socket, session, hello)
      backOff.succeeded()
      silence.heard()
      return true
    } catch {
      backOff.failed(error, at: .now)
      throw error
    }
  }

  /// Gives the connection up. Calls without a result fail, but for those of which nothing was sent:
  /// they are asked once more, on a new connection.
  private func lose(_ calls: inout [Call], _ error: ClientError, mayRetry: Bool) {
    let wasOpen = open != nil
    var sent = Set<Int>()
    while let (context, wasSent) = open?.session.abandonFirst() {
      if wasSent, context.round == round { sent.insert(context.call) }
    }
    open = nil
    let waiting = calls.indices.filter { calls[$0].result == nil }
    let unsent = waiting.filter { !sent.contains($0) }
    for place in waiting where sent.contains(place) || !wasOpen || !mayRetry {
      calls[place].result = .failure(error)
    }
    guard wasOpen, mayRetry, !unsent.isEmpty else { return }
    var again = unsent.map { Call(calls[$0].question) }
    do throws(ClientError) {
      _ = try openIfNeeded()
      round += 1
      ask(&again)
      try exchange(&again, until: .after(configuration.callTimeout))
    } catch {
      lose(&again, error, mayRetry: false)
    }
    for (place, call) in zip(unsent, again) { calls[place].result = call.result }
  }

  // MARK: Asking

  private func ask(_ calls: inout [Call]) {
    for place in calls.indices where calls[place].result == nil {
      switch calls[place].question {
      case .query(let query): calls[place].result = ask(query, for: place)
      case .refund(let receipt, let units): calls[place].result = ask(receipt, units, for: place)
      case .ping:
        request(.ping, byteCount: FrameHeader.byteCount, for: place) { id, writer in
          EmptyFrame.encode(Operation.ping.rawValue, id: id, into: &writer)
        }
      case .limits(let tenant, let policy):
        let binding = handle(tenant: tenant, policy: policy, for: place)
        if let limits = binding.limits { calls[place].result = .success(.limits(limits)) }
      case .hello: calls[place].result = .success(.hello(open!.hello))
      }
    }
  }

  /// The binding of these names; asks the daemon for it where it has none.
  private func handle(tenant: String, policy: String, for place: Int) -> Binding {
    let (binding, isNew) = open!.handles.binding(tenant: tenant, policy: policy)
    if isNew { bind(binding, for: place, .bind(binding)) }
    return binding
  }

  func bind(_ binding: Binding, for place: Int, _ purpose: Purpose) {
    open!.session.requestBind(
      handle: binding.handle, tenant: binding.tenant, policy: binding.policy, id: newID(),
      context: Context(round: round, call: place, purpose: purpose, binding: binding))
  }

  /// - Returns: a result where nothing needs to be asked.
  private func ask(_ query: Query, for place: Int) -> Result<Answer, ClientError>? {
    if let failure = check(query.key) { return .failure(failure) }
    let binding = handle(tenant: query.tenant, policy: query.policy, for: place)
    send(query, binding, for: place)
    return nil
  }

  /// Queues a query, by handle or, where the daemon does not bind the tenant, by name.
  func send(_ query: Query, _ binding: Binding, for place: Int) {
    query.key.withBytes { key in
      guard binding.isByName else {
        let frame = QueryRequest(subject: .handle(binding.handle), cost: query.cost, key: key)
        let operation = query.operation.byHandle
        request(operation, byteCount: frame.byteCount, for: place, binding) { id, writer in
          frame.encode(operation, id: id, into: &writer)
        }
        return
      }
      withNames(query.tenant, query.policy) { names in
        let frame = QueryRequest(subject: names, cost: query.cost, key: key)
        let operation = query.operation.byName
        request(operation, byteCount: frame.byteCount, for: place, binding) { id, writer in
          frame.encode(operation, id: id, into: &writer)
        }
      }
    }
  }

  /// - Returns: a result where nothing needs to be asked.
  private func ask(_ receipt: Receipt, _ units: UInt64, for place: Int)
    -> Result<Answer, ClientError>?
  {
    receipt.key.withBytes { key in
      withNames(receipt.tenant, receipt.policy) { names in
        let frame = SettleRequest(
          subject: names, cost: receipt.cost, actual: receipt.cost - units, receipt: receipt.wire,
          key: key)
        request(.settleByName, byteCount: frame.byteCount, for: place) { id, writer in
          frame.encode(id: id, into: &writer)
        }
      }
    }
    return nil
  }

  private func withNames(_ tenant: String, _ policy: String, _ body: (QuerySubject) -> Void) {
    tenant.withBytes { tenant in
      policy.withBytes { policy in body(.names(tenant: tenant, policy: policy)) }
    }
  }

  private func check(_ key: QueryKey) -> ClientError? {
    let keyBytesMax = Int(open!.hello.keyBytesMax)
    let count = key.withBytes { $0.count }
    return count <= keyBytesMax
      ? nil : .invalidArgument("a key has at most \(keyBytesMax) bytes here, not \(count)")
  }

  /// Queues a permit's release. Does nothing where its connection is gone: so is the permit.
  func release(_ permit: OwnedPermit) {
    guard open != nil, permit.connection == number, permit.generation == generation else { return }
    release(number: permit.number)
    _ = try? Transfer.send(open!.socket, &open!.session.output)
  }

  private func release(number: UInt64) {
    let context = Context(round: 0, call: 0, purpose: .nothing)
    open!.session.request(
      .release, id: newID(), byteCount: NumberRequest.byteCount, context: context
    ) { [nextID] in NumberRequest.encode(.release, number, id: nextID &- 1, into: &$0) }
  }

  private func request(
    _ operation: Operation, byteCount: Int, for place: Int, _ binding: Binding? = nil,
    _ encode: (UInt32, inout WireWriter) -> Void
  ) {
    let id = newID()
    open!.session.request(
      operation, id: id, byteCount: byteCount,
      context: Context(round: round, call: place, purpose: .call, binding: binding)
    ) { encode(id, &$0) }
  }

  /// Ids tell a reply from that to another request; 0 is left to the daemon.
  private func newID() -> UInt32 {
    defer { nextID = nextID == .max ? 1 : nextID + 1 }
    return nextID
  }

  // MARK: Exchanging

  /// Sends and receives until every call has its result, or the deadline.
  private func exchange(_ calls: inout [Call], until deadline: Moment) throws(ClientError) {
    while calls.contains(where: { $0.result == nil }) {
      let isSent = try Transfer.send(open!.socket, &open!.session.output)
      var hasReceived = false
      while let (reply, context) = try open!.session.nextReply() {
        hasReceived = true
        try take(reply, context, &calls)
      }
      if hasReceived { continue }
      if try Transfer.receive(open!.socket, &open!.session.input) {
        silence.heard()
        continue
      }
      guard open!.socket.wait(forWriting: !isSent, until: deadline) else {
        return expire(&calls)
      }
    }
  }

  /// Fails what has no result in time. The connection stays, since permits may belong to it, unless
  /// it has been silent for long.
  private func expire(_ calls: inout [Call]) {
    for place in calls.indices where calls[place].result == nil {
      calls[place].result = .failure(.timedOut)
    }
    if silence.timedOut(at: .now) { open = nil }
  }

  private func take(_ reply: PipelinedReply, _ context: Context, _ calls: inout [Call])
    throws(ClientError)
  {
    guard context.round == round else { return drop(reply) }
    switch context.purpose {
    case .nothing: return
    case .bind(let binding): learn(binding, reply, context.call, &calls)
    case .names(let binding):
      learn(binding, reply, context.call, &calls)
      try name(context.call, binding, &calls)
    case .call: try answer(reply, context, &calls)
    }
  }

  /// A reply that nobody waits for any more. A permit in it goes back.
  private func drop(_ reply: PipelinedReply) {
    if case .decision(_, _, let permit) = reply, permit != 0 { release(number: permit) }
  }

  /// What the daemon says of a handle.
  private func learn(
    _ binding: Binding, _ reply: PipelinedReply, _ place: Int, _ calls: inout [Call]
  ) {
    switch reply {
    case .bound(_, let names):
      binding.limits = names.limits
      binding.tag = names.tag
      if case .limits = calls[place].question {
        calls[place].result = .success(.limits(names.limits))
      }
    case .error(_, let error):
      // By name the daemon says what it says: a decision, or an error that is the caller's.
      binding.isByName = true
      if case .limits = calls[place].question {
        calls[place].result = .failure(ClientError(error))
      }
    default: break
    }
  }

  private func answer(_ reply: PipelinedReply, _ context: Context, _ calls: inout [Call])
    throws(ClientError)
  {
    let place = context.call
    switch (reply, calls[place].question) {
    case (.error(_, let error), .query(let query)):
      if error.code == ErrorCode.unknownHandle.rawValue, let binding = context.binding,
        binding.isByName
      {
        // Its bind was refused, so this was not decided: ask by name.
        return send(query, binding, for: place)
      }
      calls[place].result = .failure(ClientError(error))
    case (.error(_, let error), _): calls[place].result = .failure(ClientError(error))
    case (.decision(_, let record, let permit), .query):
      guard let binding = context.binding else { return }
      calls[place].wait(forNamesOf: record, permit: permit)
      let isNamed = record.place == DecisionRecord.noPlace || record.receipt.tag == binding.tag
      if isNamed && (binding.limits != nil || record.place == DecisionRecord.noPlace) {
        try name(place, binding, &calls)
      } else {
        bind(binding, for: place, .names(binding))
      }
    default: calls[place].result = .success(.done)
    }
  }

  /// Finishes a decision with the names of its limits, as far as they are known.
  private func name(_ place: Int, _ binding: Binding, _ calls: inout [Call]) throws(ClientError) {
    guard case .query(let query) = calls[place].question,
      let (record, permit) = calls[place].unnamed
    else { return }
    // The handle serves again once the daemon knows its names.
    if binding.limits != nil, record.reason.rawValue != 2 { binding.isByName = false }
    let receipt =
      record.receipt.charged == 0
      ? Receipt.nothing
      : Receipt(
        tenant: query.tenant, policy: query.policy, key: query.key.stored, cost: query.cost,
        wire: record.receipt)
    let limits = record.receipt.tag == binding.tag ? binding.limits : nil
    let decision = try LimitDecision(record, limits: limits, receipt: receipt)
    let owned =
      permit == 0 ? nil : OwnedPermit(number: permit, connection: number, generation: generation)
    calls[place].result = .success(.decision(decision, owned))
  }
}
