// The daemon's life: start, signals, upkeep, end. One thread, the process's first.

import ArgumentParser
import Glibc
import LimitEngine
import LimitPolicy
import LimitProtocol
import LimitServer
import Logging

/// One run of limitd.
struct Daemon {
  /// How often the engine frees what is as if never used.
  private static let upkeepSeconds = 5

  private let file: PolicyFile
  private let isClockSettable: Bool
  private let read: () throws(PolicyFileError) -> PolicyFile
  private let log: Logger

  /// - Parameter read: reads the policy file anew, for reloads.
  init(
    _ file: PolicyFile, isClockSettable: Bool,
    reading read: @escaping () throws(PolicyFileError) -> PolicyFile
  ) {
    self.file = file
    self.isClockSettable = isClockSettable
    self.read = read
    let level = file.daemon.logLevel
    LoggingSystem.bootstrap { _ in StandardErrorLog(level: level) }
    log = Logger(label: "limitd")
  }

  /// Says what only this host can know to be wrong with a file, and ends with 78 then.
  static func check(_ file: PolicyFile) throws {
    do throws(ServerError) {
      try Server.check(file)
    } catch {
      StandardError.write("\(error)\n")
      throw ExitCode(EX_CONFIG)
    }
  }

  func run() throws {
    for warning in file.warnings { log.warning("\(warning)") }
    // Before any thread is made: threads take over this mask, and this thread takes the signals.
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&signals, signal) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    signal(SIGPIPE, SIG_IGN)

    var options = ServerOptions(
      hashKey: HashKeyFile.key(in: file.daemon.stateDirectory, log: log),
      workers: file.daemon.workers ?? Server.processorCount, version: Release.version)
    options.isClockSettable = isClockSettable
    let server: Server
    do throws(ServerError) {
      server = try Server(file, options, log: log)
    } catch {
      log.critical("\(error)")
      throw ExitCode(error.isConfiguration ? EX_CONFIG : 1)
    }
    log.notice(
      "serving",
      metadata: [
        "version": "\(Release.version)", "socket": "\(file.daemon.socket.path)",
        "workers": "\(options.workers)", "policies": "\(file.policyNames.count)",
        "tenants": "\(file.tenantNames.count)",
      ])
    serve(server, until: &signals)
  }

  /// Takes signals until one asks for the end.
  private func serve(_ server: consuming Server, until signals: inout sigset_t) {
    var pause = timespec(tv_sec: Self.upkeepSeconds, tv_nsec: 0)
    while true {
      let signal = sigtimedwait(&signals, nil, &pause)
      switch signal {
      case SIGHUP: reload(server)
      case SIGTERM, SIGINT:
        log.notice("stopping", metadata: ["decisions": "\(server.decisionCount)"])
        server.stop()
        log.notice("stopped")
        return
      default: server.keepUp()
      }
    }
  }

  private func reload(_ server: borrowing Server) {
    let new: PolicyFile
    do throws(PolicyFileError) {
      new = try read()
    } catch {
      for diagnostic in error.diagnostics { log.error("\(diagnostic)") }
      log.error("not reloaded: the file has errors; the rules before are still in force")
      return
    }
    do throws(ServerError) {
      try server.reload(new)
    } catch {
      log.error("\(error)")
      log.error("not reloaded; the rules before are still in force")
      return
    }
    for warning in new.warnings { log.warning("\(warning)") }
    for name in restartNames(new.daemon) {
      log.warning("daemon.\(name) has changed and needs a restart")
    }
    log.notice(
      "reloaded",
      metadata: ["policies": "\(new.policyNames.count)", "tenants": "\(new.tenantNames.count)"])
  }

  /// The settings that differ from those in force and cannot change while the daemon runs.
  private func restartNames(_ new: DaemonSettings) -> [String] {
    let old = file.daemon
    let differences = [
      ("socket", new.socket != old.socket), ("admin-socket", new.adminSocket != old.adminSocket),
      ("state-dir", new.stateDirectory != old.stateDirectory),
      ("workers", new.workers != old.workers), ("spin", new.spin != old.spin),
      ("log-level", new.logLevel != old.logLevel), ("table", new.table != old.table),
      ("limits", new.limits != old.limits),
    ]
    return differences.filter(\.1).map(\.0)
  }
}
