// The admin interface of this daemon: what it is told of the other parts, and what it asks of them.

import Glibc
import LimitAdmin
import LimitAdminModel
import LimitCatalog
import LimitPolicy
import LimitProtocol
import LimitRuntime
import LimitServer
import LimitSystem
import Logging

enum AdminInterface {
  /// Begins to serve it; `nil` where that cannot be, which is told.
  static func start(
    _ sockets: borrowing AdminSockets, _ source: AdminSource, _ log: Logger
  ) -> AdminServer? {
    do {
      let listeners = try sockets.listeners()
      return listeners.isEmpty ? nil : try AdminServer(source, listeners, log: log)
    } catch {
      log.error(
        "no admin interface; decisions are served without it", metadata: ["error": "\(error)"])
      return nil
    }
  }

  /// A path for whoever is in another folder.
  private static func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/"), let folder = getcwd(nil, 0) else { return path }
    defer { free(folder) }
    return "\(String(cString: folder))/\(path.hasPrefix("./") ? String(path.dropFirst(2)) : path)"
  }

  /// What the interface answers from.
  ///
  /// - Parameter socketPath: of the decision socket; `nil` where systemd passed it.
  static func source(
    _ runtime: Runtime, _ monitor: DecisionMonitor, _ events: EventLog,
    _ configuration: DaemonConfiguration,
    workers: Int, socketPath: String?, quota: PeerQuota, upkeep: Upkeep, rules: RunTimeRules,
    snapshots: SnapshotKeeper?
  ) -> AdminSource {
    AdminSource(
      runtime: runtime, monitor: monitor, events: events,
      facts: DaemonFacts(
        version: Release.version, startedAt: Clock.bootNanoseconds(),
        configPath: absolute(configuration.path), socketPath: socketPath.map(absolute),
        stateDirectory: absolute(configuration.file.daemon.stateDirectory), workers: workers,
        refusalReasons: ErrorCode.allCases.map {
          ($0.rawValue, $0.name.replacing(" ", with: "_"))
        }),
      figures: {
        var figures = DaemonFigures()
        figures.connections = quota.connectionCount
        figures.connectionsMax = quota.connectionsMax
        figures.connectionsRefused = quota.refusedCount
        figures.connectionBytes = quota.memoryHeld
        let reloads = upkeep.reloadFigures
        figures.reloads = DaemonStatus.Reloads(reloads)
        figures.reloadSeconds = reloads.took.map { Double($0) / 1e9 }
        figures.snapshots = snapshots.map { DaemonStatus.Snapshots($0.figures) }
        return figures
      },
      read: { () throws(PolicyFileError) in rules.laid(over: try configuration.read()).file },
      reload: { peer, tell in
        upkeep.reload(by: AuditAuthor(peer)) { outcome in
          switch outcome {
          case .reloaded(let before, let after): tell(.inForce(before: before, after: after))
          case .refused(let lines): tell(.refused(lines))
          }
        }
      },
      saveSnapshot: { peer, tell in
        guard let snapshots else {
          tell(
            .failure(
              Problem(
                status: 409, title: "No snapshots", detail: "this daemon keeps no state")))
          return
        }
        snapshots.save { figures in
          let answer = SnapshotAnswer.made(in: snapshots.path, figures)
          if case .success(let made) = answer {
            rules.record(
              AuditEntry(
                at: WallTime.now, author: AuditAuthor(peer), action: "snapshot",
                to: "\(made.buckets) buckets"))
          }
          tell(answer)
        }
      },
      runTime: RunTimeAccess(
        change: { change, peer, isDryRun, tell in
          upkeep.change(
            PendingChange(
              change: change, author: AuditAuthor(peer), isDryRun: isDryRun, tell: tell))
        },
        overlay: { rules.overlay },
        reset: { tenant, limit, key, isDryRun, peer, tell in
          upkeep.run {
            let count = runtime.reset(
              tenant: tenant, limit: limit, key: key, isDryRun: isDryRun)
            if isDryRun { return tell(count) }
            rules.record(
              AuditEntry(
                at: WallTime.now, author: AuditAuthor(peer), action: "tenant reset", tenant: tenant,
                limit: limit, to: "\(count) buckets" + (key.map { ", key \($0)" } ?? "")))
            var event = Event(
              .tenantChanged, tenant: EventTenant(tenant, in: runtime.rulebook.policies),
              limit: limit)
            (event.action, event.author) = ("tenant reset", AuditAuthor(peer).name)
            event.key = key
            events.add(event)
            tell(count)
          }
        },
        audit: { question throws(Problem) in
          try rules.audit(question).map { AuditRecord($0) }
        }))
  }
}

extension AuditAuthor {
  /// - Parameter peer: `nil`: who asks is not known.
  init(_ peer: Peer?) {
    guard let peer else {
      self.init(name: "unknown")
      return
    }
    self.init(
      userID: peer.userID, processID: peer.processID,
      name: UserName.of(peer.userID) ?? "uid \(peer.userID)")
  }
}

extension AuditRecord {
  init(_ entry: AuditEntry) {
    self.init(
      number: Int(entry.number), time: WallTime.text(seconds: entry.at),
      uid: entry.author.userID.map { Int($0) }, pid: entry.author.processID.map { Int($0) },
      author: entry.author.name, action: entry.action, tenant: entry.tenant, limit: entry.limit,
      from: entry.from, to: entry.to)
  }
}

extension SnapshotAnswer {
  fileprivate static func made(
    in directory: String, _ figures: SnapshotKeeper.Figures
  ) -> Result<SnapshotAnswer, Problem> {
    if let trouble = figures.trouble {
      return .failure(
        Problem(status: 500, title: "The snapshot could not be written", detail: trouble))
    }
    guard let last = figures.last else {
      return .failure(
        Problem(status: 503, title: "The daemon ends", detail: "no snapshot was written"))
    }
    return .success(
      SnapshotAnswer(
        directory: directory, buckets: last.buckets, bytes: last.bytes,
        tookSeconds: Double(last.nanoseconds) / 1e9))
  }
}

extension DaemonStatus.Reloads {
  fileprivate init(_ figures: ReloadFigures) {
    self.init(
      successes: figures.successes, failures: figures.failures,
      ageSeconds: Double(Clock.bootNanoseconds() - figures.loadedAt) / 1e9,
      isLastGood: figures.isLastGood)
  }
}

extension DaemonStatus.Snapshots {
  fileprivate init(_ figures: SnapshotKeeper.Figures) {
    let last = figures.last
    self.init(
      ageSeconds: last.map { Double(Clock.bootNanoseconds() - $0.finishedAt) / 1e9 },
      buckets: last?.buckets, bytes: last?.bytes,
      tookSeconds: last.map { Double($0.nanoseconds) / 1e9 }, failures: figures.failures,
      trouble: figures.trouble)
  }
}
