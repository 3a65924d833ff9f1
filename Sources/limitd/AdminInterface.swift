// The admin interface of this daemon: what it is told of the other parts, and what it asks of them.

import LimitAdmin
import LimitAdminModel
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

  /// What the interface answers from.
  ///
  /// - Parameter socketPath: of the decision socket; `nil` where systemd passed it.
  static func source(
    _ runtime: Runtime, _ monitor: DecisionMonitor, _ configuration: DaemonConfiguration,
    workers: Int, socketPath: String?,
    quota: PeerQuota, upkeep: Upkeep, snapshots: SnapshotKeeper?
  ) -> AdminSource {
    AdminSource(
      runtime: runtime, monitor: monitor,
      facts: DaemonFacts(
        version: Release.version, startedAt: Clock.bootNanoseconds(),
        configPath: configuration.path, socketPath: socketPath,
        stateDirectory: configuration.file.daemon.stateDirectory, workers: workers),
      figures: {
        var figures = DaemonFigures()
        figures.connections = quota.connectionCount
        figures.connectionsMax = quota.connectionsMax
        figures.connectionsRefused = quota.refusedCount
        figures.connectionBytes = quota.memoryHeld
        figures.reloads = DaemonStatus.Reloads(upkeep.reloadFigures)
        figures.snapshots = snapshots.map { DaemonStatus.Snapshots($0.figures) }
        return figures
      },
      read: configuration.read,
      reload: { tell in
        upkeep.reload { outcome in
          switch outcome {
          case .reloaded: tell(.inForce)
          case .refused(let lines): tell(.refused(lines))
          }
        }
      },
      saveSnapshot: { tell in
        guard let snapshots else {
          tell(
            .failure(
              Problem(
                status: 409, title: "No snapshots", detail: "this daemon keeps no state")))
          return
        }
        snapshots.save { tell(SnapshotAnswer.made(in: snapshots.path, $0)) }
      })
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
