// The load generator itself: one thread, any number of connections, groups of checks.
//
//     due ─▶ idle connection ─▶ one send of a group ─▶ replies counted ─▶ latency from when it was due
//
// The groups are made before the clock starts, so that making them is not measured.

import CLinux
import Glibc
import Histogram
import LimitClient
import LimitConsole
import LimitProtocol

/// Why a bench cannot go on.
enum BenchError: Error {
  case client(LimitClientError)
  /// A system call failed.
  case system(String)
  /// The daemon answered something else than decisions.
  case refused(String)
  /// Somebody ended the run before anything was counted.
  case interrupted

  func result(at endpoint: EndpointOptions, policy: String) -> CommandResult {
    switch self {
    case .client(let error) where error.daemonError == .unknownTenant:
      CommandResult(
        errors: "limitctl: \(error); a bench asks as the tenants bench-0, bench-1, …: name them "
          + "under tenants in the policy file, or give it a rule for others ('*')\n",
        exitCode: DaemonExit.error)
    case .client(let error): DaemonExit.result(error, at: endpoint, policy: policy)
    case .interrupted:
      CommandResult(
        errors: "limitctl: interrupted before anything was counted\n",
        exitCode: 128 + SIGINT)
    case .system(let what), .refused(let what):
      CommandResult(errors: "limitctl: \(what)\n", exitCode: DaemonExit.error)
    }
  }
}

/// One run. One thread uses it.
struct BenchRun: ~Copyable {
  /// Longest latency that is told apart, in ns: 10 minutes.
  private static let latencyMax: UInt64 = 600_000_000_000
  /// How long the part at most takes that is not counted, in ns.
  private static let warmUpMax: UInt64 = 1_000_000_000
  /// How long to wait for replies when nothing more is sent, in ns.
  private static let patience: UInt64 = 5_000_000_000

  private let plan: BenchPlan
  private var connections: [BenchConnection] = []
  private var groups: BenchGroups
  private let epoll: Int32
  private var outcome: BenchOutcome
  private var latencies = Histogram<UInt64>(
    lowestDiscernibleValue: 1, highestTrackableValue: Self.latencyMax,
    numberOfSignificantValueDigits: .three)
  private var idle: [Int] = []
  private var busyCount = 0
  private var progress: BenchProgress
  /// Groups whose latency counts.
  private var isCounting = false

  init(_ plan: BenchPlan, _ configuration: ClientConfiguration) throws(BenchError) {
    self.plan = plan
    progress = BenchProgress(plan)
    groups = BenchGroups(plan)
    outcome = BenchOutcome(plan: plan)
    epoll = epoll_create1(O_CLOEXEC)
    guard epoll >= 0 else { throw Self.failure("epoll_create1") }
    for number in 0..<plan.connections {
      let connection = try BenchConnection(plan, configuration)
      guard
        limitd_epoll_control(
          epoll, EPOLL_CTL_ADD, connection.descriptor, limitd_epoll_in, UInt64(number)) == 0
      else { throw Self.failure("epoll_ctl") }
      connections.append(connection)
      idle.append(number)
    }
  }

  deinit { close(epoll) }

  private static func failure(_ call: String) -> BenchError {
    .system("\(call): \(String(cString: strerror(errno)))")
  }

  /// Sends the warm-up, then what is counted.
  mutating func run() throws(BenchError) -> BenchOutcome {
    try send(share: 0.1, timeMax: Self.warmUpMax)
    guard !Interruption.hasCome else { throw .interrupted }
    isCounting = true
    let cpu = Self.cpuTime()
    let start = Self.clock()
    try send(share: 1, timeMax: .max)
    outcome.elapsed = Self.clock() - start
    outcome.clientCPU = Self.cpuTime() - cpu
    outcome.latencies = latencies
    outcome.isInterrupted = Interruption.hasCome
    progress.clear()
    return outcome
  }

  /// Sends groups for a share of the plan, and waits for their replies.
  ///
  /// - Parameter timeMax: how long at most, in ns.
  private mutating func send(share: Double, timeMax: UInt64) throws(BenchError) {
    let start = Self.clock()
    let groupsMax = plan.requests.map { requests in
      max(1, UInt64(Double(requests) * share) / UInt64(plan.pipeline))
    }
    let time = plan.requests == nil ? UInt64(Double(plan.duration) * share) : .max
    let (last, isEndless) = start.addingReportingOverflow(min(time, timeMax))
    let end = isEndless ? UInt64.max : last
    var sent: UInt64 = 0
    var now = start
    while sent < groupsMax ?? .max, now < end, !Interruption.hasCome {
      if isCounting { progress.show(outcome, elapsed: now - start) }
      // When the next group is due; without a rate, at once.
      let due = plan.rate.map {
        start + UInt64(Double(sent) * Double(plan.pipeline) * 1e9 / Double($0))
      }
      if let connection = idle.last, due ?? 0 <= now {
        idle.removeLast()
        try begin(connection, due: due ?? now)
        sent += 1
        // Without a rate the other idle connections follow at once.
        if plan.rate == nil, !idle.isEmpty { continue }
      }
      try collect(now: now, until: idle.isEmpty ? nil : due)
      now = Self.clock()
    }
    let patienceEnds = now + Self.patience
    while busyCount > 0 {
      guard Self.clock() < patienceEnds else {
        throw .refused("the daemon stopped answering; \(busyCount) connections wait")
      }
      try collect(now: now, until: patienceEnds)
    }
  }

  private mutating func begin(_ number: Int, due: UInt64) throws(BenchError) {
    busyCount += 1
    connections[number].begin(groups.next(), replies: plan.isBatch ? 1 : plan.pipeline, due: due)
    try push(number)
  }

  /// Sends what the socket takes of a group.
  private mutating func push(_ number: Int) throws(BenchError) {
    let connection = connections[number]
    let isSent = try groups.withBytes(of: connection.group) { bytes in
      Result { () throws(BenchError) in try connection.send(bytes) }
    }.get()
    let events = isSent ? limitd_epoll_in : limitd_epoll_in | limitd_epoll_out
    guard events != connection.events else { return }
    connection.events = events
    _ = limitd_epoll_control(
      epoll, EPOLL_CTL_MOD, connection.descriptor, events, UInt64(number))
  }

  /// Takes the replies that are there, or waits for some until `deadline`.
  private mutating func collect(now: UInt64, until deadline: UInt64?) throws(BenchError) {
    try withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 256) {
      events throws(BenchError) in
      let count = epoll_wait(epoll, events.baseAddress, 256, Self.timeout(from: now, to: deadline))
      for place in 0..<max(0, Int(count)) {
        let number = Int(events[place].data.u64)
        if events[place].events & limitd_epoll_out != 0 { try push(number) }
        if events[place].events & ~limitd_epoll_out != 0 { try receive(number) }
      }
    }
  }

  /// In whole ms, rounded down: what is left of a ms is spent polling, so that groups leave when
  /// they are due.
  private static func timeout(from now: UInt64, to deadline: UInt64?) -> Int32 {
    guard let deadline else { return 1000 }
    return deadline <= now ? 0 : Int32(clamping: (deadline - now) / 1_000_000)
  }

  private mutating func receive(_ number: Int) throws(BenchError) {
    guard try connections[number].receive(into: &outcome, isCounting: isCounting) else { return }
    if isCounting {
      latencies.record(
        min(Self.clock() - connections[number].due, Self.latencyMax), count: UInt64(plan.pipeline))
    }
    busyCount -= 1
    idle.append(number)
  }

  /// CLOCK_MONOTONIC, in ns.
  static func clock() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// What this process has used of the processors, in ns.
  private static func cpuTime() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
