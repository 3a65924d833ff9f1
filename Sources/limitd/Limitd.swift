// limitd: the command line of the daemon. Flags stand above the file's `daemon:` section.

import ArgumentParser
import Glibc
import LimitEngine
import LimitPolicy
import LimitProtocol
import LimitRuntime
import LimitStore
import Logging

@main struct Limitd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "limitd",
    abstract: "Answers for every process of a host what each tenant may do now.",
    discussion: """
      Serves the limits of a policy file on a Unix socket. SIGHUP reloads the file, SIGTERM and \
      SIGINT end the daemon after it has answered what it received. See limitd(8).

      Exit codes: 0 ended as asked; 1 cannot serve; 64 a wrong command line; 78 an invalid file.
      """,
    version: "limitd \(Release.version) (protocol \(ProtocolVersion.current))"
  )

  @Option(help: ArgumentHelp("The policy file.", valueName: "file"))
  var config = "/etc/limitd/limitd.yaml"

  @Option(
    help: ArgumentHelp(
      "The socket that clients connect to. Default: daemon.socket, else /run/limitd/limitd.sock.",
      valueName: "path"))
  var socket: String?

  @Option(
    help: ArgumentHelp(
      "The socket of the admin interface. Default: daemon.admin-socket, else admin.sock beside the "
        + "socket of clients.",
      valueName: "path"))
  var adminSocket: String?

  @Option(
    help: ArgumentHelp(
      "Where the daemon keeps its hash key and snapshots. Default: daemon.state-dir, else "
        + "/var/lib/limitd.",
      valueName: "dir"))
  var stateDir: String?

  @Option(
    help: ArgumentHelp(
      "The file that the buckets lie in, so that a killed daemon forgets nothing; it belongs on a "
        + "tmpfs. off: in memory. Default: daemon.live-state, else limitd.live beside the socket.",
      valueName: "file"))
  var liveState: String?

  @Option(
    help: ArgumentHelp(
      "Event loops, 1 to 64, a thread each. Default: daemon.workers, else one per processor.",
      valueName: "n"))
  var workers: Int?

  @Option(
    help: ArgumentHelp(
      "How long an idle event loop polls before it sleeps, 0 to 10000. Default: daemon.spin, else 0.",
      valueName: "microseconds"))
  var spin: UInt64?

  @Flag(
    help: ArgumentHelp(
      "Where the file is bad at the start, start with the last one that was in force, and say so. It "
        + "is kept in --state-dir; daemon.state-dir of a bad file is not known."))
  var fallBack = false

  @Flag(help: "Check the file, print what is wrong with it, and end.")
  var checkConfig = false

  @Flag(
    help: ArgumentHelp(
      "For tests: decide each connection's requests at the times that it sets, as limitctl replay "
        + "--live --trace-clock does. Any client may then move its own time."))
  var traceClock = false

  func validate() throws {
    if let workers, !(1...64).contains(workers) {
      throw ValidationError("--workers is a number from 1 to 64.")
    }
    if let spin, spin > 10_000 {
      throw ValidationError("--spin is a number of microseconds from 0 to 10000.")
    }
    for (flag, path) in [("--socket", socket), ("--admin-socket", adminSocket)] {
      guard let path else { continue }
      // sockaddr_un has room for 108 bytes with the terminator.
      guard (1...107).contains(path.utf8.count) else {
        throw ValidationError("\(flag) is a path of 1 to 107 bytes.")
      }
    }
    if liveState == "" { throw ValidationError("--live-state needs a file, or off.") }
    if stateDir == "" { throw ValidationError("--state-dir needs a directory.") }
  }

  func run() throws {
    let file: PolicyFile
    do throws(PolicyFileError) {
      file = try load()
    } catch {
      LineOutput.standardError.writeBriefly("\(error)\n")
      guard fallBack, !checkConfig else { throw ExitCode(EX_CONFIG) }
      return try serve(lastGood(), insteadOf: error.diagnostics.map { "\($0)" })
    }
    if checkConfig { return try check(file) }
    if fallBack, let error = unknownName(in: file) {
      LineOutput.standardError.writeBriefly("\(error)\n")
      return try serve(lastGood(), insteadOf: ["\(error)"])
    }
    try serve(file)
  }

  /// A name that this host does not know, which only the rules that are made of the file show.
  private func unknownName(in file: PolicyFile) -> UnknownNameError? {
    do throws(UnknownNameError) {
      _ = try Rulebook(file, hashKey: HashKey(low: 0, high: 0))
      return nil
    } catch {
      return error
    }
  }

  /// The last file that was put in force, with what the flags say instead.
  private func lastGood() throws -> PolicyFile {
    let kept = KeptPolicies(stateDir ?? DaemonSettings().stateDirectory)
    guard let last = kept.last() else {
      LineOutput.standardError.writeBriefly(
        "limitd: \(kept.lastPath) is no policy file to fall back to\n")
      throw ExitCode(EX_CONFIG)
    }
    do throws(PolicyFileError) {
      // Without what was set at run time, which the catalog has.
      let file = try PolicyFile.parse(last.bytes, path: last.path)
      LineOutput.standardError.writeBriefly(
        "limitd: falls back to the last good policy file, \(last.path)\n")
      return withFlags(file)
    } catch {
      LineOutput.standardError.writeBriefly("\(error)\n")
      throw ExitCode(EX_CONFIG)
    }
  }

  private func check(_ file: PolicyFile) throws {
    for warning in file.warnings { LineOutput.standardError.write("\(warning)\n") }
    // Found only here, not by `limitctl config check`.
    if let error = unknownName(in: file) {
      LineOutput.standardError.write("\(error)\n")
      throw ExitCode(EX_CONFIG)
    }
    print("\(file.path): good")
  }

  /// - Parameter reasons: what is wrong with the policy file, where `file` is not that.
  private func serve(_ file: PolicyFile, insteadOf reasons: [String] = []) throws {
    let (level, throttle) = (file.daemon.logLevel, LogThrottle())
    let journal = JournalLog(level: level, throttle)
    LoggingSystem.bootstrap { _ in
      if let journal { return journal }
      return StandardErrorLog(level: level, throttle)
    }
    let log = Logger(label: "limitd")
    let configuration = DaemonConfiguration(
      path: config, file: file, fallBackReasons: reasons, isClockSettable: traceClock,
      read: { () throws(PolicyFileError) in try load() })
    do {
      var daemon = try OpenedDaemon(configuration, log).start()
      daemon.serve()
      daemon.stop()
    } catch {
      LogQueue.standardError.writeNow()
      LineOutput.standardError.writeBriefly("limitd: \(error)\n")
      _exit(error is UnknownNameError ? EX_CONFIG : EXIT_FAILURE)
    }
    // Not exit(3): what still goes on in other threads must not be waited for, nor see its
    // memory go.
    _exit(EXIT_SUCCESS)
  }

  /// The file, with what the flags say instead.
  private func load() throws(PolicyFileError) -> PolicyFile {
    withFlags(try PolicyFile.load(path: config, isRegular: true))
  }

  private func withFlags(_ given: PolicyFile) -> PolicyFile {
    var file = given
    if let socket { file.daemon.socket.path = socket }
    if let adminSocket { file.daemon.adminSocket.path = adminSocket }
    if let stateDir { file.daemon.stateDirectory = stateDir }
    if let liveState { file.daemon.liveState = DaemonSettings.LiveState(liveState) }
    if let workers { file.daemon.workers = workers }
    if let spin { file.daemon.spin = spin * .microsecond }
    return file
  }
}
