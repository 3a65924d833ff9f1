// The data plane as a whole: a listening socket, an acceptor, event loops, and the engine.
//
//     Acceptor ──connection──▶ LoopHandle ─▶ EventLoop ─▶ Session ─▶ Engine
//     Server   ──rulebook, stop──▶ ┘

import CLinux
import Glibc
public import LimitEngine
public import LimitPolicy
import LimitSystem
public import Logging
import Synchronization

/// What a server is made from besides the configuration file.
public struct ServerOptions: Sendable {
  /// The installation's secret.
  public var hashKey: HashKey
  /// Event loops; each is a thread. At least 1.
  public var workers: Int
  /// Shown to clients.
  public var version: String
  /// Whether clients may set the clock that their requests are decided by. For tests only.
  public var isClockSettable = false

  public init(hashKey: HashKey, workers: Int, version: String) {
    self.hashKey = hashKey
    self.workers = workers
    self.version = version
  }
}

/// Serves the decision protocol on a Unix socket. Made, reloaded and stopped by one thread; serves
/// on threads of its own.
///
/// Signals are the caller's: block those that it waits for before it makes a server, since the
/// server's threads take over its mask.
public struct Server: ~Copyable {
  private let engine: Engine
  private let hashKey: HashKey
  private let loops: [LoopHandle]
  private let acceptorControl: AcceptorControl
  private let acceptor: Thread
  private let loopThreads: [Thread]
  /// `decisionCount` at the last sweep.
  private var sweptAt: UInt64 = 0
  private let census: Census

  /// Throws what only this host can know to be wrong with a file: users and groups that it does
  /// not have.
  public static func check(_ file: PolicyFile) throws(ServerError) {
    _ = try Rulebook(file, hashKey: HashKey(low: 0, high: 0))
  }

  /// Opens the socket and starts to serve.
  ///
  /// - Throws: `ServerError`; nothing is left behind then.
  public init(_ file: PolicyFile, _ options: ServerOptions, log: Logger) throws(ServerError) {
    let rulebook = try Rulebook(file, hashKey: options.hashKey)
    let listener = try ListeningSocket(file.daemon.socket)
    let engine = Self.engine(file.daemon.table, hashKey: options.hashKey)
    let limits = file.daemon.limits
    let census = Census(
      connectionsMax: limits.connections, connectionsPerUserMax: limits.connectionsPerUser)
    let parts = try Self.start(
      listener, file.daemon, options, census: census, log: log
    ) {
      Workplace(
        engine: engine, rulebook: rulebook,
        limits: SessionLimits(limits, isClockSettable: options.isClockSettable),
        daemonVersion: options.version)
    }
    hashKey = options.hashKey
    self.engine = engine
    self.census = census
    loops = parts.loops
    loopThreads = parts.threads
    acceptorControl = parts.control
    acceptor = parts.acceptor
  }

  /// An engine in memory of its own kind, which ends with the process.
  private static func engine(_ table: DaemonSettings.Table, hashKey: HashKey) -> Engine {
    let configuration = Engine.Configuration(table)
    let memory = TableMemory.allocate(byteCount: Engine.byteCount(configuration))
    let now = Instant.now()
    let region = EngineRegion(
      formatting: memory, for: configuration, hashKey: hashKey, at: now,
      release: TableMemory.release)
    do {
      return try Engine(configuration, in: region, at: now)
    } catch {
      preconditionFailure("a fresh region is always taken: \(error)")
    }
  }

  private typealias Parts = (
    loops: [LoopHandle], threads: [Thread], control: AcceptorControl, acceptor: Thread
  )

  /// Starts the threads; where one cannot be, none is left.
  private static func start(
    _ listener: consuming ListeningSocket, _ settings: DaemonSettings, _ options: ServerOptions,
    census: Census, log: Logger, work: () -> Workplace
  ) throws(ServerError) -> Parts {
    var loops: [LoopHandle] = []
    var threads: [Thread] = []
    do throws(SystemError) {
      for number in 0..<options.workers {
        let handle = try LoopHandle()
        var loop = try EventLoop(
          handle, census: census, deadlines: EventLoop.Deadlines(settings.limits),
          spin: settings.spin.count, queueBytes: settings.limits.queueBytes, work: work())
        loops.append(handle)
        try threads.append(Thread(named: "limitd-loop-\(number)") { loop.run() })
      }
      let control = try AcceptorControl()
      var accepting = try Acceptor(
        listener, control: control, loops: loops, census: census, log: log)
      let acceptor = try Thread(named: "limitd-accept") { accepting.run() }
      return (loops, threads, control, acceptor)
    } catch {
      end(loops, threads)
      throw .system(doing: "start serving", error)
    }
  }

  private static func end(_ loops: [LoopHandle], _ threads: [Thread]) {
    for loop in loops { loop.send(.stop) }
    for thread in threads { thread.join() }
  }

  /// Takes over the limits, tenants and access rules of another file. Every connection goes on;
  /// every request that is read after this returns is decided by the new rules, on the same
  /// buckets.
  ///
  /// - Throws: a `ServerError` that concerns the file; nothing has changed then.
  public func reload(_ file: PolicyFile) throws(ServerError) {
    let rulebook = try Rulebook(file, hashKey: hashKey)
    for loop in loops { loop.send(.rulebook(rulebook)) }
    for loop in loops {
      // Acquiring: pairs with the loop's releasing store, after which it holds only the new one.
      // Ends because a turn of a loop is bounded.
      while loop.generation.load(ordering: .acquiring) != rulebook.generation { usleep(100) }
    }
  }

  /// Frees what is as if never used, if anything was decided since the last time. Call it every few
  /// seconds.
  public mutating func keepUp() {
    let decisionCount = self.decisionCount
    guard decisionCount != sweptAt else { return }
    sweptAt = decisionCount
    engine.sweep(at: Instant.now())
  }

  /// Processors that this process may use, 1 ... 64: how many loops are of use.
  public static var processorCount: Int { min(Int(limitd_processor_count()), 64) }

  /// Queries decided since the start.
  public var decisionCount: UInt64 {
    loops.reduce(0) { $0 &+ $1.decisionCount.load(ordering: .relaxed) }
  }

  public var connectionCount: Int { census.total }

  /// Stops accepting, answers what was received, closes every connection. Returns within 2 s.
  public consuming func stop() {
    acceptorControl.stop()
    acceptor.join()
    Self.end(loops, loopThreads)
  }
}

extension Engine.Configuration {
  init(_ table: DaemonSettings.Table) {
    self.init()
    keySlots = table.keySlots
    tenantSlots = table.tenantSlots
    tenantsMax = table.tenants
    keysPerTenantLimit = table.keysPerTenant
  }
}

extension EventLoop.Deadlines {
  init(_ limits: DaemonSettings.Limits) {
    hello = limits.helloTimeout.count
    frame = limits.frameTimeout.count
    stall = limits.stallTimeout.count
  }
}
