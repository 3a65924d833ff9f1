// The real daemon as a child process, in a folder of its own. Every wait is for a condition and has
// an end; it ends with the value, with the test process, or when it is told to.

import CHostile
import Foundation
import Glibc
import TestSupport

/// How a daemon is started.
public struct DaemonOptions: Sendable {
  /// The policy file without its section `daemon`.
  public var policy = DaemonOptions.defaultPolicy
  /// The lines of the section `daemon`, each indented by two spaces or one flow mapping.
  public var settings = ""
  public var flags: [String] = []
  /// A command that executes what is written after it, as env(1) does.
  public var wrapper: [String] = []
  /// Whether the buckets lie in a file, `livePath`.
  public var hasLiveState = true
  /// Whom it runs as; `nil`: the test's own user. Needs root.
  public var user: UInt32?
  /// RLIMIT_NOFILE; 0 leaves the test's.
  public var descriptorsSoft: UInt64 = 0
  public var descriptorsHard: UInt64 = 0
  /// RLIMIT_AS in bytes; 0: none.
  public var addressSpaceBytes: UInt64 = 0
  /// Where standard error goes; `nil`: a file that `log` reads.
  public var standardError: Int32?

  public init() {}

  /// So slow that what a limit has admits exactly that much in a test.
  public static let defaultPolicy = """
    limits:
      few: {algorithm: token-bucket, rate: 1/1d, burst: 5, scope: key}
      many: {algorithm: sliding-window, limit: 10G, window: 31d, scope: tenant}
      held: {algorithm: concurrency, limit: 2, scope: tenant}
      budget: {algorithm: sliding-window, limit: 1000, window: 31d, scope: tenant, unit: tokens}
    policies:
      few: [few]
      many: [many]
      held: [held]
      budget: [budget]
      all: [many, few, held]
    tenants:
      "*": {}
      acme: {}
      banned: {blocked: true}
      free: {unlimited: true}
    """
}

/// limitd on a socket of its own. One thread uses it.
public final class TestDaemon {
  public var folder: String { temporary.path }
  private let temporary: TemporaryFolder
  public let options: DaemonOptions
  public var socketPath: String { "\(folder)/run/limitd.sock" }
  public var statePath: String { "\(folder)/state" }
  public var configPath: String { "\(folder)/limitd.yaml" }
  /// On the system's own tmpfs where there is one, as it should be.
  public var livePath: String {
    access("/dev/shm", W_OK) == 0
      ? "/dev/shm/\(folder.dropFirst("/tmp/".count)).live" : "\(folder)/run/limitd.live"
  }
  public var logPath: String { "\(folder)/log" }
  /// 0 where none runs.
  public private(set) var process: Int32 = 0
  /// When it was first told to end, in seconds of the monotonic clock.
  private var endAskedAt: Double?

  /// Makes the folder and the policy file, starts the daemon, and waits until it answers.
  ///
  /// - Parameter starts: `false`: only makes the folder and the file.
  public init(starts: Bool = true, _ adjust: (inout DaemonOptions) -> Void = { _ in }) throws {
    var options = DaemonOptions()
    adjust(&options)
    self.options = options
    temporary = try TemporaryFolder()
    // Other users reach the socket.
    chmod(folder, 0o755)
    for path in ["run", "state"] {
      mkdir("\(folder)/\(path)", 0o755)
      if let user = options.user { chown("\(folder)/\(path)", user, user) }
    }
    try write(policy: options.policy)
    if starts { try start() }
  }

  deinit {
    kill()
    for suffix in ["", ".new", ".refused"] { unlink(livePath + suffix) }
  }

  /// Writes the policy file, with the settings that the daemon was started with.
  public func write(policy: String, settings: String? = nil) throws {
    let settings = settings ?? options.settings
    let text = settings.isEmpty ? policy : "\(policy)\ndaemon:\n\(settings)\n"
    try text.write(toFile: configPath, atomically: true, encoding: .utf8)
  }

  // MARK: Start

  /// Where the programs are: beside the tests' own; LIMITD_BINARIES names another folder.
  public static let folder: String = {
    let given = ProcessInfo.processInfo.environment["LIMITD_BINARIES"]
    let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    return given ?? own.deletingLastPathComponent().path
  }()

  /// Starts the daemon and waits until it answers.
  public func start() throws {
    try spawn()
    try wait(for: "the daemon to serve") { self.isAnswering || self.hasEnded }
    if hasEnded {
      _ = try waitForEnd()
      throw DaemonEnded(log: log)
    }
    // Administrators come in a little later than clients, where they can at all.
    for _ in 0..<200 where !isAdministrable && !log.contains("no admin") { usleep(5000) }
  }

  /// Whether an administrator gets an answer now. To be let in is not enough: the kernel does that
  /// before the daemon has all descriptors and threads that it will have.
  private var isAdministrable: Bool { (try? ask("GET", "/v1/status")) != nil }

  /// Starts the daemon and does not wait.
  public func spawn() throws {
    precondition(process == 0, "one daemon at a time")
    endAskedAt = nil
    var arguments = ["--config", configPath, "--state-dir", statePath]
    if !options.flags.contains("--socket") { arguments += ["--socket", socketPath] }
    if !options.flags.contains("--live-state") {
      arguments += ["--live-state", options.hasLiveState ? livePath : "off"]
    }
    arguments += options.flags
    let ownLog =
      options.standardError == nil
      ? open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666) : -1
    defer { if ownLog >= 0 { close(ownLog) } }
    process = try launch(
      options.wrapper + [Self.folder + "/limitd"] + arguments,
      standardError: options.standardError ?? ownLog,
      user: options.user,
      descriptors: (options.descriptorsSoft, options.descriptorsHard),
      addressSpaceBytes: options.addressSpaceBytes)
  }

  /// Whether a client gets an answer to its hello now.
  public var isAnswering: Bool {
    guard let peer = try? Peer(socketPath, timeoutSeconds: 5) else { return false }
    return (try? peer.greet()) != nil
  }

  // MARK: End

  private var hasEnded: Bool {
    var information = siginfo_t()
    return waitid(P_PID, id_t(process), &information, WEXITED | WNOHANG | WNOWAIT) != 0
      || information.si_signo == SIGCHLD
  }

  public func signal(_ number: Int32) {
    if number == SIGTERM || number == SIGINT { endAskedAt = endAskedAt ?? clockSeconds() }
    Glibc.kill(process, number)
  }

  /// Stops every thread of the daemon; when this returns, none of them runs. `SIGCONT` goes on.
  public func pause() {
    signal(SIGSTOP)
    var information = siginfo_t()
    while waitid(P_PID, id_t(process), &information, WSTOPPED | WEXITED | WNOWAIT) != 0,
      errno == EINTR
    {}
  }

  /// How a daemon ended, and how long that took.
  public struct End: Sendable {
    /// The exit code; `nil`: a signal ended it.
    public let code: Int32?
    public let signal: Int32
    /// From the first signal that asked for the end, else from when the end was waited for.
    public let seconds: Double
  }

  /// Waits for the end of the daemon.
  public func waitForEnd(seconds: Double = 30) throws -> End {
    let start = endAskedAt ?? clockSeconds()
    try wait(for: "the daemon to end", seconds: seconds) { self.hasEnded }
    var status: Int32 = 0
    waitpid(process, &status, 0)
    process = 0
    let signal = status & 0x7F
    return End(
      code: signal == 0 ? (status >> 8) & 0xFF : nil, signal: signal,
      seconds: clockSeconds() - start)
  }

  /// Ends the daemon as systemd would.
  public func stop(seconds: Double = 30) throws -> End {
    signal(SIGTERM)
    return try waitForEnd(seconds: seconds)
  }

  /// Ends it as a crash would.
  public func kill() {
    guard process > 0 else { return }
    signal(SIGKILL)
    var status: Int32 = 0
    waitpid(process, &status, 0)
    process = 0
  }

  // MARK: While it runs

  public var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

  /// Whether the log says `words`, at the latest in ten seconds: a thread of its own writes it.
  public func hasLogged(_ words: String) -> Bool {
    (try? wait(for: words, seconds: 10) { log.contains(words) }) != nil
  }

  /// The end of the log, for messages.
  public var brief: String { String(log.suffix(400)) }

  /// Replaces the policy, and waits until the daemon says what it made of it.
  public func reload(policy: String) throws {
    try write(policy: policy)
    let before = reloadCount
    signal(SIGHUP)
    try wait(for: "the reload") { self.reloadCount > before }
  }

  /// Reloads that the log tells of, good and bad.
  public var reloadCount: Int { log.components(separatedBy: "eloaded").count - 1 }

  /// Where clients come in.
  public var door: Door { Door(path: socketPath) }

  /// A connection that has had its hello.
  public func peer(user: UInt32? = nil) throws -> Peer { try door.peer(user: user) }
}

/// A daemon's socket, for clients on any thread.
public struct Door: Sendable {
  public let path: String

  /// A connection that has had its hello.
  public func peer(user: UInt32? = nil) throws -> Peer {
    let peer = try silentPeer(user: user)
    try peer.greet()
    return peer
  }

  /// A connection that has said nothing.
  public func silentPeer(user: UInt32? = nil, timeoutSeconds: Int = 30) throws -> Peer {
    try Peer(path, user: user, timeoutSeconds: timeoutSeconds)
  }
}

/// The daemon did not start.
public struct DaemonEnded: Error, CustomStringConvertible {
  public let log: String
  public var description: String { "the daemon ended at its start: \(log)" }
}
