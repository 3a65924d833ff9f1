// The daemon's life, in phases, on the process's first thread:
//
//     load    the policy file and the flags                      (Limitd)
//     open    directories, hash key, memory, socket: all that can fail, before there is a thread
//     start   threads: log, upkeep, loops; then peers may connect, and after them administrators
//     serve   signals and time, until a signal asks for the end
//     stop    what was received is answered; then the process ends, whatever else goes on

import Glibc
import LimitAdmin
import LimitCatalog
import LimitEngine
import LimitPolicy
import LimitProtocol
import LimitRuntime
import LimitServer
import LimitStore
import LimitSystem
import LimitSystemd
import Logging

/// What one run of limitd is given.
struct DaemonConfiguration: Sendable {
  /// Of the policy file.
  var path: String
  var file: PolicyFile
  /// What is wrong with the policy file, where `file` is the last good one instead.
  var fallBackReasons: [String] = []
  var isClockSettable: Bool
  /// Reads the policy file anew, for reloads.
  var read: @Sendable () throws(PolicyFileError) -> PolicyFile
}

/// Everything that a start needs from the host, open. Nothing has a thread yet.
struct OpenedDaemon: ~Copyable {
  private let configuration: DaemonConfiguration
  private let log: Logger
  private let runtime: Runtime
  private let listener: ListeningSocket
  private let adminSockets: AdminSockets
  private let dispatcher: Dispatcher
  private let state: DaemonState
  private let rules: RunTimeRules

  /// Opens everything. The socket is ours before the state is looked at, so that a second daemon is
  /// told of the first one; nobody can connect to it before there are loops.
  ///
  /// - Throws: what is wrong, in words for the person who can put it right: `UnknownNameError` where
  ///   the policy file is at fault, else `StoreError`, `ServerError` or `SystemError`. Left behind is
  ///   what the next start needs all the same: the hash key, the catalog, and files for locks.
  init(_ given: DaemonConfiguration, _ log: Logger) throws {
    // First, while what systemd passes are the only descriptors of their numbers.
    var passed = try PassedDescriptors.take()
    var configuration = given
    let settings = configuration.file.daemon
    try DescriptorLimit.fit(&configuration.file.daemon.limits, log)
    let key = try Self.hashKey(settings, log)
    // Names that this host does not know are found before anything is touched.
    let rulebook = try Rulebook(configuration.file, hashKey: key)
    var dispatcher = try Dispatcher(tickNanoseconds: LifeSigns.tickNanoseconds())
    let listener = try DecisionSocket.open(settings.socket, &passed)
    let adminSockets = AdminSockets(settings, &passed, log)
    for name in passed.names {
      log.warning(
        "systemd passes what nobody here knows; it is closed", metadata: ["name": "\(name)"])
    }
    DaemonState.tellTablesAreMade()
    let isTrace = configuration.isClockSettable
    let made = Locked([listener.path, adminSockets.path].compactMap { $0 })
    var opened: RunTimeRules?
    let state = try dispatcher.hearingTheEnd({ Self.end(removing: made.withLock { $0 }, log) }) {
      let (rules, file) = RunTimeRules.open(configuration.file, isTrace: isTrace, log)
      opened = rules
      return try DaemonState(
        file, rulebook.policies, hashKey: key, isTrace: isTrace, log,
        making: { path in made.withLock { $0.append(path) } })
    }
    rules = opened!
    runtime = state.runtime
    self.state = state
    self.dispatcher = dispatcher
    self.listener = listener
    self.adminSockets = adminSockets
    self.configuration = configuration
    self.log = log
  }

  /// Ends the process at once, whatever the start is waiting for.
  private static func end(removing paths: [String], _ log: Logger) -> Never {
    ServiceManager.tell(.stopping)
    for path in paths { unlink(path) }
    log.notice("stopped before it served")
    LogQueue.standardError.writeNow()
    _exit(EXIT_SUCCESS)
  }

  private static func hashKey(_ settings: DaemonSettings, _ log: Logger) throws -> HashKey {
    let directory = settings.stateDirectory
    try Directory.make(
      directory, mode: 0o700, purpose: "the state directory",
      remedy: "run: install -d -m 700 -o \(UserName.own) \(directory), or give another --state-dir")
    let (key, origin) = try HashKeyFile.key(in: directory)
    let path = "\(directory)/hash.key"
    switch origin {
    case .kept: break
    case .exposed:
      log.warning(
        "the hash key is open to other users", metadata: ["restrict": "chmod 600 \(path)"])
    case .made: log.notice("made a hash key", metadata: ["path": "\(path)"])
    }
    return key
  }

  /// Starts the threads. When this returns, peers are served.
  consuming func start() throws -> RunningDaemon {
    let (configuration, log, runtime) = (configuration, log, runtime)
    let settings = configuration.file.daemon
    var options = ServerOptions(settings, version: Release.version)
    options.isClockSettable = configuration.isClockSettable
    let socketPath = listener.path
    try LogQueue.standardError.start()
    for reason in configuration.fallBackReasons.prefix(Reloader.warningsMax) {
      log.error("policy file", metadata: ["error": "\(reason)"])
    }
    if !configuration.fallBackReasons.isEmpty {
      log.error(
        "the policy file is bad; the last good one is in force, until a reload finds a good file",
        metadata: ["in-force": "\(configuration.file.path)"])
    }
    Reloader.tell(configuration.file.warnings, log)
    Reloader.tell(runtime.shortage, log)
    let server = try Server(runtime, listener, options, log: log)
    let events = EventLog { EventLines.write($0, log) }
    let upkeep = Upkeep(
      runtime, server.quota,
      Reloader(read: configuration.read, settings: settings, events: events, log: log), rules,
      events, log)
    try upkeep.start()
    let snapshots = state.snapshots(of: runtime, events, every: settings.snapshotInterval, log)
    try snapshots?.start()
    let monitor = DecisionMonitor(runtime, events)
    try MonitorThread.start(monitor, events)
    let admin = AdminInterface.start(
      adminSockets,
      AdminInterface.source(
        runtime, monitor, events, configuration, workers: options.workers, socketPath: socketPath,
        quota: server.quota, upkeep: upkeep, rules: rules, snapshots: snapshots), log)
    let lifeSigns = LifeSigns()
    lifeSigns.tellReady()
    log.notice(
      "serving",
      metadata: [
        "version": "\(Release.version)", "socket": "\(socketPath ?? "passed by systemd")",
        "workers": "\(options.workers)", "policies": "\(configuration.file.policyNames.count)",
        "tenants": "\(configuration.file.tenantNames.count)",
      ])
    return RunningDaemon(
      server: server, runtime: runtime, upkeep: upkeep, rules: rules, snapshots: snapshots,
      admin: admin, adminSockets: adminSockets, state: state, dispatcher: dispatcher,
      lifeSigns: lifeSigns, log: log)
  }
}

/// A daemon that serves.
struct RunningDaemon: ~Copyable {
  /// How often the engine frees what is as if never used, in ns.
  private static let sweepNanoseconds: UInt64 = 5_000_000_000

  private let server: Server
  private let runtime: Runtime
  private let upkeep: Upkeep
  private let rules: RunTimeRules
  private let snapshots: SnapshotKeeper?
  private let admin: AdminServer?
  /// Holds the admin socket's file.
  private let adminSockets: AdminSockets
  /// Holds the lock of the live state.
  private let state: DaemonState
  private var dispatcher: Dispatcher
  private var lifeSigns: LifeSigns
  private let log: Logger

  fileprivate init(
    server: consuming Server, runtime: Runtime, upkeep: Upkeep, rules: RunTimeRules,
    snapshots: SnapshotKeeper?, admin: AdminServer?, adminSockets: consuming AdminSockets,
    state: consuming DaemonState,
    dispatcher: consuming Dispatcher, lifeSigns: LifeSigns, log: Logger
  ) {
    self.server = server
    self.runtime = runtime
    self.upkeep = upkeep
    self.rules = rules
    self.snapshots = snapshots
    self.admin = admin
    self.adminSockets = adminSockets
    self.state = state
    self.dispatcher = dispatcher
    self.lifeSigns = lifeSigns
    self.log = log
  }

  /// Takes what happens until something asks for the end. Nothing here takes long.
  mutating func serve() {
    var sweepTime = Clock.bootNanoseconds()
    while true {
      switch dispatcher.next() {
      case .stop: return
      case .reload: upkeep.reload(by: AuditAuthor(name: "signal")) { _ in }
      case .tick:
        lifeSigns.tick(server, runtime)
        let now = Clock.bootNanoseconds()
        if now - sweepTime >= Self.sweepNanoseconds {
          sweepTime = now
          upkeep.sweep()
        }
        snapshots?.tick(at: now)
        if rules.isEndDue { upkeep.endBlocks() }
      }
    }
  }

  /// From the signal on, in ns: by when the last snapshot is written or given up, and the last lines of the
  /// log. Peers have had their time before (`Server.drainNanoseconds`), and what is left of 2 s is for the
  /// kernel, which takes a large table apart.
  private static let snapshotNanoseconds: UInt64 = 1_500_000_000
  private static let logNanoseconds: UInt64 = 1_600_000_000

  /// Answers what was received, closes every connection, and writes a last snapshot as far as the
  /// time allows. Returns within 1.6 s; the process is to end then, since a reload may still be under
  /// way.
  consuming func stop() {
    let start = Clock.bootNanoseconds()
    ServiceManager.tell(.stopping, .status("answering what was received"))
    log.notice("stopping")
    upkeep.abandon()
    admin?.stop()
    let (log, runtime, snapshots) = (log, runtime, snapshots)
    server.stop()
    snapshots?.writeLast(until: start + Self.snapshotNanoseconds)
    // Only now: what had been received was decided meanwhile.
    log.notice("stopped", metadata: ["decisions": "\(runtime.decisionCount)"])
    LogQueue.standardError.flush(until: start + Self.logNanoseconds)
  }
}

extension Engine.Configuration {
  init(_ table: DaemonSettings.Table) {
    self.init()
    keySlots = table.keySlots
    tenantSlots = table.tenantSlots
    tenantsMax = table.tenants
    keysPerTenantLimit = table.keysPerTenant
    guestPercent = table.guestPercent
  }
}
