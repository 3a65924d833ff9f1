// One connection whose two sessions are joined in memory, and what was learnt of it.

import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

/// One connection from its hello to its end, and what was learnt of it.
struct JoinedRun: ~Copyable {
  private struct Call {
    var tenant: String
    var policy: String
    var cost: UInt64
    /// What it adds to the tenant's charge where it is decided.
    var change: Int
    var answers = 0
    var isAbandoned = false
  }

  /// Who waits: a call, or the calls of a batch from `call` on.
  struct Waiter {
    var call: Int
    var count = 1
  }

  let seed: UInt64
  private let world: ServerWorld
  private var server: ServerEnd
  private var client = ClientSession<Waiter>(clientName: "joined", connection: 1)
  private var random: SeededGenerator
  private var calls: [Call] = []
  private var sequences: [(call: Int, sequence: UInt64)] = []
  private var permits: [GivenPermit] = []
  /// Of decisions that charged, to be settled once.
  private var receipts: [LimitReceipt] = []
  /// A batch that waits for a bind, and where its calls begin.
  private var batch: (first: Int, items: [LimitQuery], next: Int, waitedFor: Int)?
  /// On their way.
  private var (toServer, toClient): ([UInt8], [UInt8]) = ([], [])
  private var outgoing = ByteQueue()
  /// Units that a tenant was charged, at least and at most.
  private(set) var least: [String: Int] = [:]
  private(set) var most: [String: Int] = [:]
  private(set) var faults: [String] = []
  private(set) var settledCount = 0

  init(_ world: ServerWorld, seed: UInt64) throws {
    self.seed = seed
    self.world = world
    server = try ServerEnd(world)
    random = SeededGenerator(seed: seed)
  }

  mutating func run() {
    for _ in 0..<Int.random(in: 10...50, using: &random) { step() }
    if random.chance(1, in: 2) { settleDown() }
    end()
  }

  private mutating func step() {
    switch UInt64.random(in: 0..<100, using: &random) {
    case 0..<28: if client.isReady { ask() }
    case 28..<34: if client.isReady, batch == nil { askBatch() }
    case 34..<36: if client.isReady { continueBatch() }
    case 36..<54: send()
    case 54..<72: serve()
    case 72..<88: receive(Int.random(in: 0...toClient.count, using: &random))
    case 88..<93: abandon()
    case 93..<97: release()
    default: world.reload()
    }
  }

  // MARK: Asking

  private mutating func newCall(isCharged: Bool, policy: String) -> Int {
    let names = ServerWorld.tenants + [ServerWorld.ghost]
    let cost = UInt64.random(in: 1...9, using: &random)
    calls.append(
      Call(
        tenant: names.randomElement(using: &random)!, policy: policy, cost: cost,
        change: isCharged ? Int(cost) : 0))
    return calls.count - 1
  }

  private func query(_ call: Int) -> LimitQuery {
    LimitQuery(
      tenant: calls[call].tenant, policy: calls[call].policy, key: "k", cost: calls[call].cost)
  }

  private mutating func ask() {
    let question: Question
    let call: Int
    switch UInt64.random(in: 0..<12, using: &random) {
    case 10...11 where !receipts.isEmpty:
      let place = Int.random(in: receipts.indices, using: &random)
      let receipt = receipts.remove(at: place)
      let actual = random.chance(1, in: 3) ? 0 : UInt64.random(in: 1...12, using: &random)
      call = calls.count
      calls.append(
        Call(
          tenant: receipt.query.tenant, policy: ServerWorld.counting, cost: actual,
          change: Int(actual) - Int(receipt.query.cost)))
      question = .settle(receipt, actual: actual)
    case 0..<6, 10...11:
      call = newCall(isCharged: true, policy: ServerWorld.counting)
      question = .query(.check, query(call))
    case 6..<8:
      call = newCall(isCharged: false, policy: ServerWorld.holding)
      question = .query(.acquire, query(call))
    case 8:
      call = newCall(isCharged: false, policy: ServerWorld.counting)
      question = .query(.peek, query(call))
    default:
      call = newCall(isCharged: false, policy: random.chance(1, in: 3) ? "none" : "counting")
      question = .limits(tenant: calls[call].tenant, policy: calls[call].policy)
    }
    do throws(LimitClientError) {
      sequences.append((call, try client.ask(question, Waiter(call: call))))
    } catch {
      faults.append("\(error)")
    }
  }

  private mutating func askBatch() {
    let first = calls.count
    var items: [LimitQuery] = []
    for _ in 0..<Int.random(in: 1...12, using: &random) {
      items.append(query(newCall(isCharged: true, policy: ServerWorld.counting)))
    }
    batch = (first, items, 0, -1)
    continueBatch()
  }

  /// Queues what a batch has left, as far as no bind holds it up that was not waited for.
  private mutating func continueBatch() {
    guard var batch else { return }
    let (first, mayWait) = (batch.first, batch.waitedFor != batch.next)
    let waits = client.askBatch(batch.items, from: &batch.next, mayWait: mayWait) {
      Waiter(call: first + $0.lowerBound, count: $0.count)
    } refused: { _, _ in
    }
    if waits { batch.waitedFor = batch.next }
    let isQueued = batch.next == batch.items.count
    if !isQueued, !waits { faults.append("a batch stopped at \(batch.next) without a bind") }
    self.batch = isQueued ? nil : batch
  }

  /// What a batch has not asked is not asked any more.
  private mutating func dropBatch() {
    guard let batch else { return }
    for call in batch.first + batch.next..<batch.first + batch.items.count {
      calls[call].isAbandoned = true
    }
    self.batch = nil
  }

  // MARK: Moving bytes

  private mutating func send() { client.wire.sent(beginSend()) }

  /// Gives the kernel what there is, as a sender does that has not come back yet.
  ///
  /// - Returns: how many bytes it took.
  private mutating func beginSend() -> Int {
    if outgoing.isEmpty { client.wire.takeOutput(&outgoing) }
    client.wire.offer(outgoing.count)
    let count = Int.random(in: 0...outgoing.count, using: &random)
    toServer.append(contentsOf: outgoing.bytes[..<count])
    outgoing.consume(count)
    return count
  }

  private mutating func serve() {
    let count = Int.random(in: 0...toServer.count, using: &random)
    toClient.append(contentsOf: server.receive(toServer[..<count]))
    toServer.removeFirst(count)
  }

  private mutating func receive(_ count: Int) {
    var answers: [(Waiter, Answer, [DecisionRecord])] = []
    do throws(LimitClientError) {
      try Array(toClient[..<count]).withBytes { bytes throws(LimitClientError) in
        try client.receive(bytes) { waiter, answer in
          var records: [DecisionRecord] = []
          if case .batch(let decisions) = answer { records = Array(decisions) }
          answers.append((waiter, answer, records))
        }
      }
    } catch {
      faults.append("the client refused what the daemon said: \(error)")
    }
    toClient.removeFirst(count)
    for (waiter, answer, records) in answers { take(waiter, answer, records) }
  }

  // MARK: Answers

  private mutating func take(_ waiter: Waiter, _ answer: Answer, _ records: [DecisionRecord]) {
    if waiter.count != 1, records.isEmpty {
      guard case .failure(let error) = answer else {
        return faults.append("a batch was answered by one")
      }
      for call in waiter.call..<waiter.call + waiter.count { failed(call, error) }
      return
    }
    for (offset, record) in records.enumerated() { decided(waiter.call + offset, record, nil) }
    guard records.isEmpty else { return }
    switch answer {
    case .decision(let record, let permit, let names):
      decided(waiter.call, record, names)
      if let permit { permits.append(permit) }
    case .failure(let error): failed(waiter.call, error)
    case .done:
      answered(waiter.call)
      charged(waiter.call)
      settledCount += 1
    case .limits, .batch: answered(waiter.call)
    }
  }

  private mutating func answered(_ call: Int) {
    calls[call].answers += 1
    if calls[call].answers > 1 { faults.append("call \(call) was answered twice") }
    if calls[call].isAbandoned { faults.append("call \(call) was answered after it was abandoned") }
  }

  private mutating func decided(_ call: Int, _ record: DecisionRecord, _ names: PolicyNames?) {
    answered(call)
    let tenant = calls[call].tenant
    if record.outcome == .allow, calls[call].change != 0 {
      charged(call)
      receipts.append(LimitReceipt(query: query(call), wire: record.receipt))
    }
    if tenant == ServerWorld.ghost, record.outcome == .allow {
      faults.append("an unknown tenant was admitted")
    }
    guard let name = names?.limit(at: record.place)?.name else { return }
    let isOurs =
      calls[call].policy == ServerWorld.holding ? name == "held" : name.hasSuffix("count")
    if !isOurs { faults.append("\(calls[call].policy) was decided by \(name)") }
  }

  private mutating func failed(_ call: Int, _ error: LimitClientError) {
    answered(call)
    if error.mayHaveBeenDecided { mayBeCharged(call) }
    if error.code == .refused, error.daemonError == .unknownHandle {
      faults.append("a handle was used that is not bound")
    }
    if error.daemonError == .notPermitted { faults.append("call \(call) was not permitted") }
  }

  private mutating func charged(_ call: Int) {
    least[calls[call].tenant, default: 0] += calls[call].change
    most[calls[call].tenant, default: 0] += calls[call].change
  }

  private mutating func mayBeCharged(_ call: Int) {
    least[calls[call].tenant, default: 0] += min(0, calls[call].change)
    most[calls[call].tenant, default: 0] += max(0, calls[call].change)
  }

  // MARK: Going

  private mutating func abandon() {
    guard let place = sequences.indices.randomElement(using: &random) else { return }
    let (call, sequence) = sequences.remove(at: place)
    guard calls[call].answers == 0 else { return }
    if let answer = client.abandon(sequence) { return take(Waiter(call: call), answer, []) }
    calls[call].isAbandoned = true
    mayBeCharged(call)
  }

  private mutating func release() {
    guard let place = permits.indices.randomElement(using: &random) else { return }
    client.release(permits.remove(at: place).number)
  }

  /// Moves everything until nothing moves.
  private mutating func settleDown() {
    var before = -1
    while calls.reduce(0, { $0 + $1.answers }) + toClient.count + toServer.count != before {
      before = calls.reduce(0) { $0 + $1.answers } + toClient.count + toServer.count
      for _ in 0..<3 {
        if client.isReady { continueBatch() }
        if outgoing.isEmpty { client.wire.takeOutput(&outgoing) }
        toServer.append(contentsOf: outgoing.bytes)
        client.wire.sent(outgoing.count)
        outgoing.consume(outgoing.count)
        toClient.append(contentsOf: server.receive(toServer))
        toServer = []
        receive(toClient.count)
      }
    }
    if client.isReady, batch != nil { faults.append("a batch waits though nothing was lost") }
    dropBatch()
    for (number, call) in calls.enumerated() where call.answers == 0 && !call.isAbandoned {
      faults.append("call \(number) has no answer though nothing was lost")
    }
    if client.dutyCount != 0 { faults.append("\(client.dutyCount) duties are left") }
  }

  /// The connection breaks; what is on its way is lost, or some of it.
  private mutating func end() {
    dropBatch()
    // Now and then a sender has not come back to say what the kernel took.
    let isAmidSend = random.chance(1, in: 2)
    if isAmidSend { _ = beginSend() }
    if random.chance(1, in: 2) { serve() }
    var answers: [(Waiter, Answer)] = []
    if !isAmidSend, random.chance(1, in: 2) {
      client.outputEnded { answers.append(($0, $1)) }
    }
    client.end(.connectionLost(mayHaveBeenDecided: true)) { answers.append(($0, $1)) }
    for (waiter, answer) in answers { take(waiter, answer, []) }
    for (number, call) in calls.enumerated() where call.answers == 0 && !call.isAbandoned {
      faults.append("call \(number) was never answered")
    }
  }
}

/// A client that looks at a world between runs.
final class Witness {
  private var client = ClientSession<Int>(clientName: "witness", connection: 1)
  private let server: ServerEnd
  private var outgoing = ByteQueue()
  private var used: UInt64?

  init(_ world: ServerWorld) throws {
    server = try ServerEnd(world)
    try exchange()
  }

  private func exchange() throws {
    client.wire.takeOutput(&outgoing)
    let replies = server.receive(Array(outgoing.bytes))
    outgoing.consume(outgoing.count)
    var used: UInt64?
    try replies.withBytes { bytes throws(LimitClientError) in
      try client.receive(bytes) { _, answer in
        guard case .decision(let record, _, _) = answer else { return }
        used = record.capacity - record.remaining
      }
    }
    self.used = used
  }

  func used(_ tenant: String, _ policy: String) throws -> UInt64 {
    _ = try client.ask(.query(.peek, LimitQuery(tenant: tenant, policy: policy, key: "k")), 0)
    try exchange()
    // The names of its limits came with the first bind.
    return try #require(used)
  }
}
