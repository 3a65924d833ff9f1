// What takes long and waits for nobody: reloading the policy file, sweeping the tables, giving
// memory back. A thread of its own, so that the first one hears the signal to end meanwhile; and another
// for what is set at run time, which is quick and so need not wait for a sweep.

import CLinux
import Glibc
import LimitCatalog
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitServer
import LimitSystem
import LimitSystemd
import Logging
import Synchronization

/// What came of a reload.
enum ReloadOutcome: Sendable {
  /// What was in force, and what is now.
  case reloaded(before: PolicyFile, after: PolicyFile)
  /// The rules before are still in force. Why, a line each.
  case refused([String])
}

/// What became of reloads since the start.
struct ReloadFigures: Sendable {
  private(set) var successes = 0
  private(set) var failures = 0
  private(set) var isLastGood = true
  /// When the rules in force were loaded, by CLOCK_BOOTTIME, in ns.
  private(set) var loadedAt = Clock.bootNanoseconds()
  /// How long the last one took, whatever came of it, in ns; `nil`: there was none.
  private(set) var took: UInt64?

  /// - Parameter start: by CLOCK_BOOTTIME, in ns.
  fileprivate mutating func add(_ outcome: ReloadOutcome, since start: UInt64) {
    took = Clock.bootNanoseconds() - start
    switch outcome {
    case .reloaded:
      successes += 1
      isLastGood = true
      loadedAt = Clock.bootNanoseconds()
    case .refused:
      failures += 1
      isLastGood = false
    }
  }
}

/// Does the daemon's long work, one job after the other, and changes of what is set at run time, several that
/// wait together. Any thread may ask.
final class Upkeep: Sendable {
  private struct Jobs {
    var reloads: [(author: AuditAuthor, tell: @Sendable (ReloadOutcome) -> Void)] = []
    /// Whatever else must not fall into a change of what is set.
    var work: [@Sendable () -> Void] = []
    var isSweepDue = false
  }

  private struct Changes {
    var pending: [PendingChange] = []
    var isBlockEndDue = false
  }

  let runtime: Runtime
  private let quota: PeerQuota
  private let reloader: Reloader
  let rules: RunTimeRules
  let events: EventLog
  let log: Logger
  private let jobs = Locked(Jobs())
  private let hasJobs = Condition()
  private let changes = Locked(Changes())
  private let hasChanges = Condition()
  /// A reload and a change each make the rules from those in force, so one at a time.
  private let rulesTurn = Locked(())
  /// The thread for long work waits for `rulesTurn`, and changes leave it that, however many come: a lock is
  /// not fair by itself. Relaxed: publishes nothing, and who misses it sees it at the next change.
  private let isTurnWanted = Atomic<Bool>(false)
  private let reloads = Locked(ReloadFigures())
  /// The daemon ends: what is begun need not be finished. Relaxed: publishes nothing.
  let isAbandoned = Atomic<Bool>(false)

  init(
    _ runtime: Runtime, _ quota: PeerQuota, _ reloader: Reloader, _ rules: RunTimeRules,
    _ events: EventLog, _ log: Logger
  ) {
    self.runtime = runtime
    self.quota = quota
    self.reloader = reloader
    self.rules = rules
    self.events = events
    self.log = log
  }

  func start() throws(SystemError) {
    _ = try Thread(named: "limitd-upkeep", .background) { self.run() }
    _ = try Thread(named: "limitd-changes", .background) { self.runChanges() }
  }

  /// Asks for a reload. Several that wait are one.
  func reload(by author: AuditAuthor, _ tell: @escaping @Sendable (ReloadOutcome) -> Void) {
    jobs.withLock { $0.reloads.append((author, tell)) }
    hasJobs.signal()
  }

  /// Asks for a change of what is set at run time. Several that wait come into force together.
  func change(_ change: PendingChange) {
    changes.withLock { $0.pending.append(change) }
    hasChanges.signal()
  }

  /// Has something done that waits for what changes the rules.
  func run(_ work: @escaping @Sendable () -> Void) {
    jobs.withLock { $0.work.append(work) }
    hasJobs.signal()
  }

  /// Asks for the end of the blocks whose time is over.
  func endBlocks() {
    changes.withLock { $0.isBlockEndDue = true }
    hasChanges.signal()
  }

  /// What became of reloads so far. Any thread.
  var reloadFigures: ReloadFigures { reloads.withLock { $0 } }

  /// Asks for a sweep.
  func sweep() {
    jobs.withLock { $0.isSweepDue = true }
    hasJobs.signal()
  }

  /// Whatever is being done is not waited for any more.
  func abandon() { isAbandoned.store(true, ordering: .relaxed) }

  private func run() {
    while !isAbandoned.load(ordering: .relaxed) {
      hasJobs.wait()
      let due = jobs.withLock { jobs in
        defer { jobs = Jobs() }
        return jobs
      }
      if !due.reloads.isEmpty {
        ServiceManager.tell(
          .reloading(monotonicMicroseconds: Clock.monotonicNanoseconds() / 1000))
        let start = Clock.bootNanoseconds()
        let outcome = inTurn {
          reloader.reload(runtime, rules, by: due.reloads.map(\.author.name)) {
            isAbandoned.load(ordering: .relaxed)
          }
        }
        ServiceManager.tell(.ready)
        reloads.withLock { $0.add(outcome, since: start) }
        if case .reloaded(let before, let after) = outcome {
          record(due.reloads.map(\.author), before, after)
        }
        for (_, tell) in due.reloads { tell(outcome) }
      }
      if !due.work.isEmpty { inTurn { for work in due.work { work() } } }
      if due.isSweepDue {
        runtime.keepUp(at: EngineClock.now())
        // What connections held is free, but the allocator keeps it.
        if quota.takeClosedCount() > 0 { limitd_trim_memory() }
      }
    }
  }

  /// Does what no change may fall into, before the next change.
  private func inTurn<Result>(_ body: () -> Result) -> Result {
    isTurnWanted.store(true, ordering: .relaxed)
    return rulesTurn.withLock { _ in
      isTurnWanted.store(false, ordering: .relaxed)
      return body()
    }
  }

  private func runChanges() {
    while !isAbandoned.load(ordering: .relaxed) {
      hasChanges.wait()
      // For as long as the other thread takes to run once the turn is free.
      while isTurnWanted.load(ordering: .relaxed) { usleep(500) }
      let due = changes.withLock { changes in
        defer { changes = Changes() }
        return changes
      }
      rulesTurn.withLock { _ in
        make(due.pending + (due.isBlockEndDue ? [.endOfBlocks] : []))
      }
    }
  }
}

/// Reads the policy file anew and puts it in force.
struct Reloader: Sendable {
  /// Most warnings that are told one by one.
  static let warningsMax = 20

  let read: @Sendable () throws(PolicyFileError) -> PolicyFile
  /// The settings that the daemon was started with.
  let settings: DaemonSettings
  let events: EventLog
  let log: Logger

  /// - Parameter authors: who asked for it.
  func reload(
    _ runtime: Runtime, _ rules: RunTimeRules, by authors: [String], unless isAbandoned: () -> Bool
  ) -> ReloadOutcome {
    let file: PolicyFile
    do throws(PolicyFileError) {
      file = try read()
    } catch {
      return refuse(error.diagnostics.map { "\($0)" }, by: authors)
    }
    // Nobody else changes the rules meanwhile.
    let before = runtime.rulebook.file
    let (laid, problems) = rules.laid(over: file)
    do throws(UnknownNameError) {
      guard let adoption = try runtime.adopt(laid, unless: isAbandoned) else {
        return .refused(["the daemon ends"])
      }
      rules.replaceBase(by: file, laid, problems)
      Self.tell(adoption.shortage, log)
      Self.tell(adoption.count, log)
    } catch {
      return refuse([error.description], by: authors)
    }
    Self.tell(file.warnings, log)
    for name in settings.namesOfRestart(for: file.daemon) {
      log.warning(
        "a setting has changed that needs a restart", metadata: ["setting": "daemon.\(name)"])
    }
    let counts = (policies: file.policyNames.count, tenants: file.tenantNames.count)
    log.notice(
      "reloaded",
      metadata: EventLines.metadata(
        event(
          .reloaded, by: authors, "\(counts.policies) policies, \(counts.tenants) tenants named"),
        and: ["policies": "\(counts.policies)", "tenants": "\(counts.tenants)"]))
    return .reloaded(before: before, after: laid)
  }

  /// Adds an event, and gives it with its number.
  private func event(_ kind: Event.Kind, by authors: [String], _ detail: String?) -> (
    Event.Kind, UInt64?
  ) {
    var event = Event(kind)
    event.action = "reload"
    // Several that waited were one.
    event.author = Set(authors).sorted().joined(separator: ", ")
    event.detail = detail
    return (kind, events.add(event))
  }

  private func refuse(_ lines: [String], by authors: [String]) -> ReloadOutcome {
    for line in lines.prefix(Self.warningsMax) {
      log.error("policy file", metadata: ["error": "\(line)"])
    }
    log.error(
      "not reloaded; the rules before are still in force",
      metadata: EventLines.metadata(
        event(.reloadFailed, by: authors, lines.first), and: ["errors": "\(lines.count)"]))
    return .refused(lines)
  }

  /// Logs what the tables are short of.
  static func tell(_ shortage: Engine.Shortage, _ log: Logger) {
    if shortage.isNone { return }
    log.warning(
      "the tables are too small for the tenants that are named",
      metadata: [
        "tenants-missing": "\(shortage.tenants)", "tenant-slots-missing": "\(shortage.tenantSlots)",
      ])
  }

  /// Logs that limits are gone.
  static func tell(_ count: ConversionCount, _ log: Logger) {
    if count.ended == 0 { return }
    log.notice(
      "buckets of limits that the file does not have any more have ended",
      metadata: ["buckets": "\(count.ended)"])
  }

  /// Logs what is doubtful about a file.
  static func tell(_ warnings: [Diagnostic], _ log: Logger) {
    for warning in warnings.prefix(warningsMax) {
      log.warning("policy file", metadata: ["warning": "\(warning)"])
    }
    if warnings.count > warningsMax {
      log.warning(
        "policy file, further warnings", metadata: ["count": "\(warnings.count - warningsMax)"])
    }
  }
}

extension DaemonSettings {
  /// The settings that differ from `new` and cannot change while the daemon runs.
  fileprivate func namesOfRestart(for new: DaemonSettings) -> [String] {
    let differences = [
      ("socket", new.socket != socket), ("admin-socket", new.adminSocket != adminSocket),
      ("state-dir", new.stateDirectory != stateDirectory),
      ("live-state", new.liveState != liveState),
      ("snapshot-interval", new.snapshotInterval != snapshotInterval),
      ("workers", new.workers != workers), ("spin", new.spin != spin),
      ("log-level", new.logLevel != logLevel), ("table", new.table != table),
      ("limits", new.limits != limits),
      ("metrics", new.metricsListener != metricsListener),
    ]
    return differences.filter(\.1).map(\.0)
  }
}
