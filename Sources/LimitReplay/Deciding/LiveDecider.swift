// `replay --live`: rows on their way to the daemon and back.
//
// Rows are pipelined: up to `window` of them are on their way, and their decisions come back in
// order. What comes back is the engine's own type, so that tallies and output do not know the
// difference.

import CLinux
import Glibc
package import LimitClient
package import LimitEngine
import LimitProtocol

/// Why the daemon does not take part.
package enum LiveError: Error, CustomStringConvertible {
  case client(ClientError)
  /// The policy of a row has other limits there than in the policy file.
  case differs(policy: String, there: [String], here: [String])
  case refused(String)

  package var description: String {
    switch self {
    case .client(let error): "\(error)"
    case .differs(let policy, let there, let here):
      "the daemon's policy '\(policy)' has the limits \(there.joined(separator: ", ")), the "
        + "file's has \(here.joined(separator: ", ")); give --config the daemon's own file"
    case .refused(let what): "limitd refused: \(what)"
    }
  }
}

/// Where and how fast to replay.
package struct LiveOptions {
  package var configuration: ClientConfiguration
  /// How many times as fast as the trace; `nil`: as fast as possible.
  package var speed: Double?
  /// Whether to set the daemon's clock to each row's time (`limitd --trace-clock`).
  package var setsClock: Bool

  package init(configuration: ClientConfiguration, speed: Double? = nil, setsClock: Bool = false) {
    self.configuration = configuration
    self.speed = speed
    self.setsClock = setsClock
  }
}

/// Decides rows by asking the daemon. One thread uses it.
package struct LiveDecider: ~Copyable {
  /// Rows on their way at once.
  private static let window = 256
  private static let timeout = Duration.seconds(10)

  private let connection: PipelinedConnection
  private let options: LiveOptions
  private let policies: PolicySet
  /// Rows without a decision yet, oldest at `head`.
  private var rows: [TraceRow] = []
  private var head = 0
  /// The trace time and the clock at the first row.
  private var start: (trace: UInt64, clock: UInt64)?
  private var comparedPolicies = Set<PolicyIndex>()

  /// - Parameter policies: the policy file's; what rows and reports are named by.
  package init(_ options: LiveOptions, policies: PolicySet) throws(LiveError) {
    connection = try Self.connect(options)
    self.options = options
    self.policies = policies
  }

  private static func connect(_ options: LiveOptions) throws(LiveError) -> PipelinedConnection {
    let connection: PipelinedConnection
    do throws(ClientError) {
      connection = try PipelinedConnection.open(options.configuration)
    } catch {
      throw .client(error)
    }
    guard !options.setsClock || connection.hello.capabilities & HelloReply.canSetClock != 0 else {
      throw .refused("its clock cannot be set; it was not started with --trace-clock")
    }
    return connection
  }

  /// Sends a row, and hands out the decisions that this makes room for.
  ///
  /// - Parameter policy: the row's, in the policy file.
  mutating func submit(
    _ row: borrowing TraceRow, policy: PolicyIndex, decided: (TraceRow, Decision) -> Void
  ) throws(LiveError) {
    try compareLimits(of: policy, tenant: row.text[row.tenantRange], decided)
    if let speed = options.speed { try keepPace(with: row.time, speed, decided) }
    if options.setsClock { connection.setClock(nanoseconds: row.time, id: 0) }
    row.text.withUnsafeBytes { text in
      func part(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: text[range])
      }
      connection.query(
        .check, tenant: part(row.tenantRange), policy: part(row.policyRange), cost: row.cost,
        key: part(row.keyRange), id: 1)
    }
    rows.append(copy row)
    if rows.count - head >= Self.window || options.speed != nil { try flush() }
    if rows.count - head >= Self.window { try collect(untilLeft: Self.window / 2, decided) }
  }

  /// Waits for every decision that is still on its way.
  mutating func finish(decided: (TraceRow, Decision) -> Void) throws(LiveError) {
    try flush()
    try collect(untilLeft: 0, decided)
  }

  private func flush() throws(LiveError) {
    do throws(ClientError) {
      try connection.flush(timeout: Self.timeout)
    } catch {
      throw .client(error)
    }
  }

  /// Takes decisions until only so many rows are on their way.
  private mutating func collect(untilLeft left: Int, _ decided: (TraceRow, Decision) -> Void)
    throws(LiveError)
  {
    while rows.count - head > left {
      guard try takeReply(timeout: Self.timeout, decided) else { throw .client(.timedOut) }
    }
    rows.removeFirst(head)
    head = 0
  }

  /// - Returns: whether there was a reply in time.
  private mutating func takeReply(
    timeout: Duration, _ decided: (TraceRow, Decision) -> Void
  ) throws(LiveError) -> Bool {
    let reply: PipelinedReply?
    do throws(ClientError) {
      reply = try connection.nextReply(timeout: timeout)
    } catch {
      throw .client(error)
    }
    switch reply {
    case .none: return false
    case .decision(_, let record, _):
      let row = rows[head]
      head += 1
      decided(row, decision(record, row))
    case .error(_, let error): throw .refused(error.text)
    default: break
    }
    return true
  }

  private func decision(_ record: DecisionRecord, _ row: TraceRow) -> Decision {
    let name = String(decoding: row.text[row.policyRange], as: UTF8.self)
    let limits = policies.policy(named: name).map { policies.limits(of: $0) } ?? []
    let place = Int(record.place)
    return Decision(
      outcome: Decision.Outcome(rawValue: record.outcome.rawValue) ?? .deny,
      reason: Decision.Reason(rawValue: record.reason.rawValue) ?? .limit,
      flags: Decision.Flags(rawValue: record.flags.rawValue),
      limit: place < limits.count ? limits[place] : .none, place: record.place,
      capacity: record.capacity, remaining: record.remaining,
      retryAfter: Nanoseconds(record.retryAfter), resetAfter: Nanoseconds(record.resetAfter),
      receipt: Receipt(
        tag: record.receipt.tag,
        decidedAt: Instant(nanoseconds: min(record.receipt.decidedAt, Instant.max.nanoseconds)),
        cost: row.cost, charged: record.receipt.charged, shadow: record.receipt.shadow,
        escalated: record.receipt.escalated, mac: record.receipt.mac))
  }

  /// Sees to it, once per policy, that places in the daemon's policy mean the file's limits.
  private mutating func compareLimits(
    of policy: PolicyIndex, tenant: ArraySlice<UInt8>, _ decided: (TraceRow, Decision) -> Void
  ) throws(LiveError) {
    guard comparedPolicies.insert(policy).inserted else { return }
    try finish(decided: decided)
    let name = policies.policyNames[Int(policy.rawValue)]
    let reply: BindReply
    do throws(ClientError) {
      reply = try connection.bind(
        handle: 0, tenant: String(decoding: tenant, as: UTF8.self), policy: name)
    } catch {
      // A tenant that the daemon does not know is denied, and its row says so.
      guard case .refused(code: .unknownTenant, _, _) = error else { throw .client(error) }
      comparedPolicies.remove(policy)
      return
    }
    let here = policies.limits(of: policy).map { policies.limits[Int($0.rawValue)].name }
    let there = reply.limits.map(\.name)
    guard here == there else { throw .differs(policy: name, there: there, here: here) }
  }

  // MARK: Pace

  /// Waits until a row is due, taking decisions meanwhile.
  private mutating func keepPace(
    with time: UInt64, _ speed: Double, _ decided: (TraceRow, Decision) -> Void
  ) throws(LiveError) {
    guard let start else {
      self.start = (time, ProgressBar.now())
      return
    }
    let elapsed = time > start.trace ? time - start.trace : 0
    let due = start.clock + UInt64(min(Double(elapsed) / speed, 1e18))
    while true {
      let now = ProgressBar.now()
      guard now < due else { return }
      let left = Duration.nanoseconds(Int64(clamping: due - now))
      if rows.count > head {
        _ = try takeReply(timeout: left, decided)
      } else {
        usleep(UInt32(min(due - now, 100_000_000) / 1000 + 1))
      }
    }
  }
}
