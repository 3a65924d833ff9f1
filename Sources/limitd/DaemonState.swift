// The state that the daemon starts with: where its engine comes from, and what to say of it.
// The first thread, at start.

import Glibc
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitStore
import LimitSystem
import Logging

/// An engine with whatever outlived the last daemon, and where its snapshots go.
struct DaemonState: ~Copyable {
  let engine: Engine
  private let state: OpenedState
  private let hashKey: HashKey
  /// `nil`: nothing is kept.
  private let directory: SnapshotDirectory?

  /// Finds the state, and sets the engine's clock.
  ///
  /// - Parameter isTrace: whether clients set the clock: then nothing is kept, since what a trace
  ///   decided lies in a time of its own.
  init(
    _ settings: DaemonSettings, hashKey: HashKey, _ rulebook: Rulebook, isTrace: Bool, _ log: Logger
  ) throws(StoreError) {
    directory = isTrace ? nil : SnapshotDirectory(settings.stateDirectory)
    self.hashKey = hashKey
    var opening = StateOpening(
      sizes: Engine.Configuration(settings.table), hashKey: hashKey,
      liveStatePath: isTrace ? nil : Self.livePath(settings), snapshots: directory,
      clocks: .read())
    opening.progress = { done, total in
      log.info("restoring", metadata: ["buckets": "\(done)", "of": "\(total)"])
    }
    state = try opening.open()
    engine = state.engine
    EngineClock.setOffset(state.clockOffset)
    Self.tell(state.report, log)
    tellOfGoneLimits(rulebook.policies, log)
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
  func snapshots(of runtime: Runtime, every interval: Nanoseconds, _ log: Logger) -> SnapshotKeeper?
  {
    directory.map {
      SnapshotKeeper(
        $0, runtime, hashKey: hashKey, clockOffset: state.clockOffset, every: interval, log)
    }
  }

  // MARK: The log

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

  /// Buckets whose limit is not in the file wait for it to come back, as after a reload.
  private func tellOfGoneLimits(_ policies: PolicySet, _ log: Logger) {
    if case .nothing = state.report.source { return }
    let known = Set(policies.limitIdentities.map(\.identity))
    let now = EngineClock.now()
    var count = 0
    for scope in Scope.allCases {
      engine.forEachBucket(scope, inGroups: 0..<engine.groupCount(scope), at: now) {
        if !known.contains($0.limit) { count += 1 }
      }
    }
    guard count > 0 else { return }
    log.notice(
      "buckets of limits that the file does not have", metadata: ["buckets": "\(count)"])
  }
}

extension PolicySet {
  /// What stands for each limit in records, and its name.
  var limitIdentities: [(identity: UInt64, name: String)] {
    limits.indices.map { (identity(of: LimitIndex(UInt16($0))), limits[$0].name) }
  }
}
