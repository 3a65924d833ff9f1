// The state that the daemon starts with: where its engine comes from, and what to say of it.
// The first thread, at start.

import Glibc
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitStore
import LimitSystem
import LimitSystemd
import Logging

/// An engine with whatever outlived the last daemon, and where its snapshots go.
struct DaemonState: ~Copyable {
  /// What is in force, for those who decide.
  let runtime: Runtime
  private let state: OpenedState
  private let hashKey: HashKey
  /// `nil`: nothing is kept.
  private let directory: SnapshotDirectory?
  private let policies: KeptPolicies?

  /// Finds the state, sets the engine's clock, and puts the file's rules in force over it.
  ///
  /// - Parameters:
  ///   - compiled: what the file comes to by itself, whatever was in force before.
  ///   - isTrace: whether clients set the clock: then nothing is kept, since what a trace decided lies
  ///     in a time of its own.
  ///   - making: told each path at which something will be that is of no use before all is open.
  /// - Throws: `StoreError`, `UnknownNameError`.
  init(
    _ file: PolicyFile, _ compiled: PolicySet, hashKey: HashKey, isTrace: Bool, _ log: Logger,
    making: (String) -> Void
  ) throws {
    let settings = file.daemon
    let directory = isTrace ? nil : SnapshotDirectory(settings.stateDirectory)
    let policies = isTrace ? nil : KeptPolicies(settings.stateDirectory)
    var opening = StateOpening(
      sizes: Engine.Configuration(settings.table), hashKey: hashKey,
      liveStatePath: isTrace ? nil : Self.livePath(settings), snapshots: directory,
      clocks: .read())
    opening.progress = { Self.tell($0, log) }
    // Before buckets come in: who is named is no guest.
    opening.prepare = { $0.setAside(for: compiled) }
    let opened = try opening.open(making: making)
    EngineClock.setOffset(opened.clockOffset)
    Self.tell(opened.report, log)
    let (rulebook, goingOn) = try opened.engine.goOn(
      under: file, hashKey: hashKey, at: EngineClock.now(),
      kept: { identity in
        policies.flatMap { Self.kept(identity, in: $0) }
      }, keep: { Self.keep(file, in: policies, log) })
    Self.tell(goingOn, log)
    // Nobody else holds the first rules: the next ones are made in their memory.
    runtime = Runtime(opened.engine, rulebook) { Self.keep($0, in: policies, log) }
    state = opened
    self.hashKey = hashKey
    self.directory = directory
    self.policies = policies
  }

  /// The rules with this checksum, with what was set over them; `nil` where they are not whole.
  private static func kept(_ identity: UInt64, in policies: KeptPolicies) -> PolicyFile? {
    let document = policies.bytes(of: identity, .overlay) ?? []
    guard let policy = document.isEmpty ? identity : RulesDocument.policy(of: document),
      let bytes = policies.bytes(of: policy)
    else { return nil }
    return try? PolicyFile.rules(document, over: bytes, path: policies.path(of: policy))
  }

  /// Keeps a file that is to be put in force. Where the disk does not take it, the rules change all the
  /// same: what was decided under them is read rightly at the next start if it is given the same file.
  private static func keep(_ file: PolicyFile, in policies: KeptPolicies?, _ log: Logger) {
    do throws(StoreError) {
      try policies?.keep(file.source, identity: file.policyIdentity)
      if !file.document.isEmpty {
        try policies?.keep(file.document, identity: file.sourceIdentity, as: .overlay)
      }
    } catch {
      log.error("the policy file is not kept for the next start", metadata: ["error": "\(error)"])
    }
  }

  /// Where the buckets lie; `nil`: in memory that ends with the process.
  private static func livePath(_ settings: DaemonSettings) -> String? {
    // systemd's RuntimeDirectory=, of which there may be several (systemd.exec(5)): a service may
    // write there, and not where systemd made the socket.
    guard settings.liveState == .besideSocket, let directories = getenv("RUNTIME_DIRECTORY") else {
      return settings.liveStatePath
    }
    return String(cString: directories).prefix { $0 != ":" } + "/limitd.live"
  }

  /// Who writes snapshots; `nil` where none are to be.
  func snapshots(
    of runtime: Runtime, _ events: EventLog, every interval: Nanoseconds, _ log: Logger
  ) -> SnapshotKeeper? {
    guard let directory, let policies else { return nil }
    return SnapshotKeeper(
      directory, policies, runtime, hashKey: hashKey, clockOffset: state.clockOffset,
      events, every: interval, log)
  }

  // MARK: The log

  /// How long making the tables, or any step of restoring them, may take before systemd worries, in µs.
  private static let stepMicroseconds: UInt64 = 120_000_000

  /// Memory for hundreds of millions of slots takes the kernel its time.
  static func tellTablesAreMade() {
    ServiceManager.tell(
      .status("making the tables"), .extendTimeout(microseconds: stepMicroseconds))
  }

  /// However long it takes in all: while it goes on, it is waited for.
  private static func tell(_ progress: OpeningProgress, _ log: Logger) {
    let (unit, done, total) =
      switch progress {
      case .reading(let done, let total): ("bytes", done, total)
      case .restoring(let done, let total): ("buckets", done, total)
      }
    log.info("restoring", metadata: ["\(unit)": "\(done)", "of": "\(total)"])
    ServiceManager.tell(
      .status("restoring a snapshot: \(done) of \(total) \(unit)"),
      .extendTimeout(microseconds: stepMicroseconds))
  }

  private static func tell(_ report: OpeningReport, _ log: Logger) {
    for finding in report.findings {
      switch finding {
      case .liveStateRefused(let path, let why, let kept):
        log.error(
          "the live state is not used",
          metadata: ["path": "\(path)", "why": "\(why)", "kept": "\(kept ?? "no")"])
      case .liveStateOnDisk(let path):
        log.warning(
          "the live state lies on a disk, for which decisions may wait; a tmpfs is better",
          metadata: ["path": "\(path)"])
      case .snapshotRefused(let path, let why):
        log.error("a snapshot is not used", metadata: ["path": "\(path)", "why": "\(why)"])
      }
    }
    switch report.source {
    case .nothing:
      log.notice("no state to go on with")
    case .live(let recovery):
      log.notice("goes on with the live state", metadata: Self.metadata(recovery))
    case .resized(let recovery, let dropped):
      var metadata = Self.metadata(recovery)
      metadata["dropped"] = "\(dropped)"
      log.notice("goes on with the live state, copied to other sizes", metadata: metadata)
    case .snapshot(let path, let restore):
      let level: Logger.Level = restore.damaged > 0 || restore.dropped > 0 ? .error : .notice
      log.log(
        level: level, "goes on with a snapshot",
        metadata: [
          "path": "\(path)", "buckets": "\(restore.restored)", "over": "\(restore.dead)",
          "dropped": "\(restore.dropped + restore.damaged)",
          "age": "\(Quantity.text(duration: Nanoseconds(restore.elapsed / 1_000_000 * 1_000_000)))",
        ])
    }
  }

  private static func metadata(_ recovery: Recovery) -> Logger.Metadata {
    [
      "buckets": "\(recovery.live)", "over": "\(recovery.dead)",
      "unfinished": "\(recovery.halfFilled)", "permits-back": "\(recovery.returned)",
      "damaged": "\(recovery.damaged)",
    ]
  }

  private static func tell(_ goingOn: GoingOn, _ log: Logger) {
    if goingOn.wasChanging {
      log.notice("finished a change of the rules that the last end cut off")
    }
    switch goingOn.former {
    case .none, .same: break
    case .changed:
      log.notice(
        "the rules have changed since the state was left",
        metadata: ["buckets": "\(goingOn.count.converted)"])
    case .unknown:
      log.error(
        "the rules that the state was left under are not known; buckets keep their times and counts",
        metadata: ["buckets": "\(goingOn.count.converted)"])
    }
    Reloader.tell(goingOn.count, log)
  }
}

extension PolicySet {
  /// What stands for each limit in records, and its name.
  var limitIdentities: [(identity: UInt64, name: String)] {
    limits.indices.map { (identity(of: LimitIndex(UInt16($0))), limits[$0].name) }
  }
}
