// Writes snapshots, every interval and at the end, on a thread of its own: a disk that is slow, full
// or gone holds up nobody else. What goes wrong is said once, and once that it is over.

import Glibc
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitStore
import LimitSystem
import Logging
import Synchronization

/// The thread that writes snapshots. `start` once; `tick` and `writeLast` by the first thread.
final class SnapshotKeeper: Sendable {
  private let directory: SnapshotDirectory
  private let policies: KeptPolicies
  private let runtime: Runtime
  private let hashKey: HashKey
  private let clockOffset: UInt64
  private let interval: UInt64
  private let events: EventLog
  private let log: Logger

  /// When the next one is due, by CLOCK_BOOTTIME, in ns. Only for the first thread.
  private let nextTime: Atomic<UInt64>
  private let isDue = Condition()
  private let progress = Locked(Progress())
  /// Relaxed, both: they publish nothing but themselves.
  private let isEnding = Atomic<Bool>(false)
  private let isDone = Atomic<Bool>(false)

  /// What has become of the snapshots so far.
  struct Figures: Sendable {
    /// The last one that was finished: when, by CLOCK_BOOTTIME in ns, and what it took.
    var last: (finishedAt: UInt64, buckets: Int, bytes: Int, nanoseconds: UInt64)?
    var failures = 0
    /// Why the last attempt failed; `nil` where it did not.
    var trouble: String?
  }

  private struct Progress {
    var figures = Figures()
    /// Who waits for the next one.
    var waiting: [@Sendable (Figures) -> Void] = []
  }

  /// Any thread.
  var figures: Figures { progress.withLock { $0.figures } }

  /// Where snapshots are written.
  var path: String { directory.path }

  init(
    _ directory: SnapshotDirectory, _ policies: KeptPolicies, _ runtime: Runtime, hashKey: HashKey,
    clockOffset: UInt64, _ events: EventLog, every interval: Nanoseconds, _ log: Logger
  ) {
    self.events = events
    self.directory = directory
    self.policies = policies
    self.runtime = runtime
    self.hashKey = hashKey
    self.clockOffset = clockOffset
    self.interval = interval.count
    nextTime = Atomic(Clock.bootNanoseconds() + interval.count)
    self.log = log
  }

  func start() throws(SystemError) { _ = try Thread(named: "limitd-snapshot") { self.run() } }

  /// Some time has passed.
  ///
  /// - Parameter now: CLOCK_BOOTTIME, in ns.
  func tick(at now: UInt64) {
    guard now >= nextTime.load(ordering: .relaxed) else { return }
    nextTime.store(now + interval, ordering: .relaxed)
    isDue.signal()
  }

  /// Writes one now.
  ///
  /// - Parameter tell: told what came of it, once, unless the daemon ends before. Any thread.
  func save(_ tell: @escaping @Sendable (Figures) -> Void) {
    progress.withLock { $0.waiting.append(tell) }
    isDue.signal()
  }

  /// Writes the last one, when nobody decides any more. Returns at the deadline at the latest: what
  /// is not done then ends with the process, and the generations before are whole.
  ///
  /// - Parameter deadline: by CLOCK_BOOTTIME, in ns.
  func writeLast(until deadline: UInt64) {
    isEnding.store(true, ordering: .relaxed)
    isDue.signal()
    while !isDone.load(ordering: .relaxed) {
      guard Clock.bootNanoseconds() < deadline else {
        log.error("the last snapshot was not finished in time")
        return
      }
      usleep(1000)
    }
  }

  private func run() {
    var trouble: SnapshotWriteError?
    while true {
      isDue.wait()
      let isLast = isEnding.load(ordering: .relaxed)
      let waiting = progress.withLock { progress in
        defer { progress.waiting = [] }
        return progress.waiting
      }
      write(isLast: isLast, &trouble)
      for tell in waiting { tell(figures) }
      guard !isLast else { break }
    }
    isDone.store(true, ordering: .relaxed)
  }

  private func write(isLast: Bool, _ trouble: inout SnapshotWriteError?) {
    let start = Clock.bootNanoseconds()
    do throws(SnapshotWriteError) {
      let written = try directory.write(
        runtime.engine, hashKey: hashKey, clocks: .read(), clockOffset: clockOffset,
        limits: runtime.rulebook.policies.limitIdentities
      ) { !isLast && isEnding.load(ordering: .relaxed) }
      guard let written else { return }
      let took = Clock.bootNanoseconds() - start
      progress.withLock {
        $0.figures.last = (start + took, written.buckets, written.bytes, took)
        $0.figures.trouble = nil
      }
      if trouble != nil { log.notice("snapshots are written again") }
      trouble = nil
      // Files by whose rules nothing is written any more.
      policies.prune {
        let rules = runtime.engine.rules
        let needed = directory.sources.union([rules.source, rules.formerSource ?? 0])
        // And those that they lie over.
        return needed.union(
          needed.compactMap { policies.bytes(of: $0, .overlay) }
            .compactMap { RulesDocument.policy(of: $0) })
      }
      log.log(
        level: isLast ? .notice : .debug, "snapshot",
        metadata: [
          "buckets": "\(written.buckets)", "bytes": "\(written.bytes)",
          "ms": "\(took / 1_000_000)",
        ])
    } catch {
      progress.withLock {
        $0.figures.failures += 1
        $0.figures.trouble = "\(error)"
      }
      // Each interval fails alike: only what is new is told.
      if trouble != error || isLast {
        var event = Event(.snapshotFailed)
        event.detail = "\(error)"
        log.error(
          "no snapshot; the ones before are kept",
          metadata: EventLines.metadata(
            (event.kind, events.add(event)),
            and: ["directory": "\(directory.path)", "error": "\(error)"]))
      }
      trouble = error
    }
  }
}
