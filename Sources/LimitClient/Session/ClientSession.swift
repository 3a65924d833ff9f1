// One connection of a client, without its socket: questions and bytes in, bytes and answers out.
// What every client stands on; tested without sockets, also joined with the daemon's session.
//
//     ask ─▶ (bind, where the names have no handle) ─▶ request ─▶ takeOutput ─▶ the socket
//     the socket ─▶ receive ─▶ reply ─▶ names of its limit ─▶ answer, or a permit that goes back
//
// No clock, no threads: one owner at a time.

internal import LimitProtocol

/// A connection's state.
///
/// - A request is sent at most once, and has one answer. One whose waiter has gone is answered to
///   nobody; if it brings a permit, that is released.
/// - Names go by handle once the daemon has confirmed it, and as names until then.
/// - `Waiter` is whatever its owner wants to have back with an answer.
struct ClientSession<Waiter>: ~Copyable {
  /// What is expected of a reply, and who waits for it.
  struct Expectation {
    /// Nil: nobody, or not any more.
    var waiter: Waiter?
    let purpose: Purpose
    let binding: Binding?
  }

  enum Purpose { case hello, query, bind, batch, release, other }

  /// A decision that waits for the names of its limits.
  private struct Parked {
    let sequence: UInt64
    var waiter: Waiter
    let record: DecisionRecord
    let permit: UInt64
    let binding: Binding
  }

  var wire = WireSession<Expectation>()
  /// What the daemon said it accepts; nil before.
  private(set) var hello: HelloReply?
  var handles = HandleTable(countMax: 0)
  /// By tag, of every bind that was answered.
  private var namesByTag: [UInt32: PolicyNames] = [:]
  private var parked: [Parked] = []
  /// Requests whose waiter has gone, and that may bring a permit; releases that are not answered.
  private(set) var dutyCount = 0
  /// Permits given to waiters and not released.
  private(set) var permitCount = 0
  /// The daemon takes no more requests, though it may answer those that it has.
  private(set) var isClosing = false

  /// Which connection of its channel this is; permits belong to it.
  private let connection: UInt64

  /// Queues the hello.
  init(clientName: String, connection: UInt64) {
    self.connection = connection
    wire.requestHello(
      clientName: clientName, context: Expectation(waiter: nil, purpose: .hello, binding: nil))
  }

  /// Whether requests are taken.
  var isReady: Bool { hello != nil && !isClosing }

  // MARK: Replies

  /// Takes bytes that were received, and answers what they answer.
  ///
  /// - Throws: why the connection is over: `end` it.
  mutating func receive(
    _ bytes: UnsafeRawBufferPointer, _ answer: (Waiter, Answer) -> Void
  ) throws(LimitClientError) {
    wire.input.append(bytes)
    while let (reply, expectation, sequence) = try wire.nextReply() {
      switch (reply, expectation.purpose) {
      case (.decision(_, let record, let permit), _):
        decide(record, permit, expectation, sequence, answer)
      case (.hello(_, let hello), _): try greet(hello)
      case (.error(_, let error), .hello): throw .notGreeted(error)
      case (.bound, .bind), (.error, .bind): learn(reply, expectation, answer)
      case (_, .release):
        // An unknown permit is one that the daemon does not hold: there is nothing to give back.
        dutyCount -= 1
      case (.batch(_, let decisions), _):
        if let waiter = expectation.waiter { answer(waiter, .batch(decisions)) }
      case (.error(_, let error), _): refuse(error, expectation, answer)
      default: if let waiter = expectation.waiter { answer(waiter, .done) }
      }
    }
  }

  private mutating func greet(_ reply: HelloReply) throws(LimitClientError) {
    guard reply.version.major == ProtocolVersion.current.major else {
      throw LimitClientError(
        .unsupportedVersion,
        "limitd speaks protocol \(reply.version), this client \(ProtocolVersion.current)")
    }
    hello = reply
    handles = HandleTable(countMax: Int(reply.handlesMax))
  }

  private mutating func refuse(
    _ error: ErrorReply, _ expectation: Expectation, _ answer: (Waiter, Answer) -> Void
  ) {
    guard let waiter = expectation.waiter else {
      if expectation.purpose == .query { dutyCount -= 1 }
      return
    }
    answer(waiter, .failure(.refused(error)))
  }

  @inline(__always) private mutating func decide(
    _ record: DecisionRecord, _ permit: UInt64, _ expectation: Expectation, _ sequence: UInt64,
    _ answer: (Waiter, Answer) -> Void
  ) {
    guard let waiter = expectation.waiter else {
      dutyCount -= 1
      if permit != 0 { queueRelease(permit) }
      return
    }
    if permit != 0 { permitCount += 1 }
    let names = names(of: record, expectation.binding)
    if names == nil, record.place != DecisionRecord.noPlace, let binding = expectation.binding {
      return park(record, permit, waiter, sequence, binding)
    }
    answer(waiter, .decision(record, given(permit), names: names))
  }

  private func given(_ permit: UInt64) -> GivenPermit? {
    permit == 0 ? nil : GivenPermit(number: permit, connection: connection)
  }

  /// - Returns: nil also where no limit decided.
  @inline(__always) private func names(of record: DecisionRecord, _ binding: Binding?)
    -> PolicyNames?
  {
    guard record.place != DecisionRecord.noPlace else { return nil }
    if let names = binding?.names, names.tag == record.receipt.tag { return names }
    return namesByTag[record.receipt.tag]
  }

  /// The names of the limits that a tag stands for, where they are known.
  func names(tag: UInt32) -> PolicyNames? { namesByTag[tag] }

  // MARK: Names

  /// Keeps a decision until its limits have names.
  @inline(never) private mutating func park(
    _ record: DecisionRecord, _ permit: UInt64, _ waiter: Waiter, _ sequence: UInt64,
    _ before: Binding
  ) {
    // The one of before may have made room for others meanwhile.
    let binding = handles.binding(tenant: before.tenant, policy: before.policy) ?? before
    parked.append(
      Parked(
        sequence: sequence, waiter: waiter, record: record, permit: permit, binding: binding))
    queueBind(binding, waiter: nil)
  }

  /// What the daemon says of a handle.
  private mutating func learn(
    _ reply: PipelinedReply, _ expectation: Expectation, _ answer: (Waiter, Answer) -> Void
  ) {
    guard let binding = expectation.binding else { return }
    var result: Answer
    switch reply {
    case .bound(_, let reply):
      let names = PolicyNames(tag: reply.tag, limits: reply.limits)
      remember(names)
      binding.names = names
      if !binding.isEvicted { binding.state = .confirmed }
      result = .limits(names)
    case .error(_, let error):
      // Where the daemon had it, it still has it: after an error a handle is as it was.
      if binding.state == .asked { binding.state = .refused }
      result = .failure(.refused(error))
    default: return
    }
    if let waiter = expectation.waiter { answer(waiter, result) }
    answerParked(answer) { $0.binding === binding }
  }

  /// Tags come from policies, of which there are few; a daemon that invents them fills no memory.
  private mutating func remember(_ names: PolicyNames) {
    if namesByTag.count >= 4096 { namesByTag.removeAll() }
    namesByTag[names.tag] = names
  }

  private mutating func answerParked(
    _ answer: (Waiter, Answer) -> Void, where isMeant: (Parked) -> Bool
  ) {
    guard !parked.isEmpty else { return }
    var left: [Parked] = []
    for one in parked {
      if isMeant(one) { answer(one.waiter, finished(one)) } else { left.append(one) }
    }
    parked = left
  }

  private func finished(_ parked: Parked) -> Answer {
    .decision(
      parked.record, given(parked.permit), names: names(of: parked.record, parked.binding))
  }

  // MARK: Waiters that go

  /// The waiter of a request goes, by a deadline or a cancellation.
  ///
  /// - Returns: its answer, where that came already and waits for the names of its limits; nil
  ///   where there is none. Then a permit that it brings later is released.
  mutating func abandon(_ sequence: UInt64) -> Answer? {
    if let place = parked.firstIndex(where: { $0.sequence == sequence }) {
      return finished(parked.remove(at: place))
    }
    guard var expectation = wire.context(of: sequence), expectation.waiter != nil else {
      return nil
    }
    expectation.waiter = nil
    if expectation.purpose == .query { dutyCount += 1 }
    wire.setContext(of: sequence, expectation)
    return nil
  }

  /// Somebody else waits for the answer to a request.
  mutating func handOver(_ sequence: UInt64, to waiter: Waiter) {
    if let place = parked.firstIndex(where: { $0.sequence == sequence }) {
      parked[place].waiter = waiter
    } else if var expectation = wire.context(of: sequence) {
      expectation.waiter = waiter
      wire.setContext(of: sequence, expectation)
    }
  }

  /// Calls `body` with every waiter and its request's number, oldest first. O(n).
  func forEachWaiter(_ body: (UInt64, Waiter) -> Void) {
    for one in parked { body(one.sequence, one.waiter) }
    wire.forEachOutstanding { sequence, expectation in
      if let waiter = expectation.waiter { body(sequence, waiter) }
    }
  }

  // MARK: Permits

  /// Gives a permit back that a waiter was given. Never refused for want of room.
  mutating func release(_ permit: UInt64) {
    permitCount -= 1
    guard !isClosing else { return }
    queueRelease(permit)
  }

  private mutating func queueRelease(_ permit: UInt64) {
    dutyCount += 1
    let id = wire.nextID
    wire.request(
      .release, id: id, byteCount: NumberRequest.byteCount,
      context: Expectation(waiter: nil, purpose: .release, binding: nil)
    ) { NumberRequest.encode(.release, permit, id: id, into: &$0) }
  }

  // MARK: The end

  /// The daemon takes no more: what was not sent fails, and may be asked elsewhere. What was sent
  /// may still be answered.
  mutating func outputEnded(_ answer: (Waiter, Answer) -> Void) {
    isClosing = true
    while let expectation = wire.abandonLastUnsent() {
      guard let waiter = expectation.waiter else { continue }
      answer(waiter, .failure(.connectionLost(mayHaveBeenDecided: false)))
    }
  }

  /// The connection is over: everything that waits gets what there is, or the error.
  mutating func end(_ error: LimitClientError, _ answer: (Waiter, Answer) -> Void) {
    isClosing = true
    answerParked(answer) { _ in true }
    while let (expectation, wasSent) = wire.abandonFirst() {
      guard let waiter = expectation.waiter else { continue }
      answer(waiter, .failure(error.with(mayHaveBeenDecided: wasSent)))
    }
    dutyCount = 0
  }
}
