// What the admin interface knows of the daemon around it: figures to show, and what it can be asked to
// do. Closures, so that this part needs nothing of the data plane.

package import LimitAdminModel
package import LimitPolicy
package import LimitRuntime

/// Figures of the parts that the runtime knows nothing of, at one moment.
package struct DaemonFigures: Sendable {
  package var connections = 0
  package var connectionsMax = 0
  package var connectionsRefused: UInt64 = 0
  package var connectionBytes = 0
  /// `nil`: none are written.
  package var snapshots: DaemonStatus.Snapshots?
  package var reloads = DaemonStatus.Reloads(
    successes: 0, failures: 0, ageSeconds: 0, isLastGood: true)
  /// How long the last reload took; `nil`: there was none.
  package var reloadSeconds: Double?

  package init() {}
}

/// What does not change while the daemon runs.
package struct DaemonFacts: Sendable {
  package var version: String
  /// CLOCK_BOOTTIME at the start, in ns.
  package var startedAt: UInt64
  package var configPath: String
  /// `nil`: passed by systemd.
  package var socketPath: String?
  package var stateDirectory: String
  package var workers: Int
  /// What the numbers of `LoopFigures.refused` that are used mean.
  package var refusalReasons: [(number: UInt16, name: String)]

  package init(
    version: String, startedAt: UInt64, configPath: String, socketPath: String?,
    stateDirectory: String, workers: Int, refusalReasons: [(number: UInt16, name: String)]
  ) {
    self.version = version
    self.startedAt = startedAt
    self.configPath = configPath
    self.socketPath = socketPath
    self.stateDirectory = stateDirectory
    self.workers = workers
    self.refusalReasons = refusalReasons
  }
}

/// What came of a reload.
package enum ReloadResult: Sendable {
  /// What was in force, and what is now.
  case inForce(before: PolicyFile, after: PolicyFile)
  /// The rules before are still in force. Why, a line each.
  case refused([String])
}

/// Everything that requests are answered from. Its closures may be called on any thread; those that
/// are told what came of something tell it on any thread, once.
package struct AdminSource: Sendable {
  package typealias Tell<Value> = @Sendable (Value) -> Void

  package var runtime: Runtime
  package var monitor: DecisionMonitor
  package var events: EventLog
  package var facts: DaemonFacts
  package var figures: @Sendable () -> DaemonFigures
  /// Reads the policy file anew.
  package var read: @Sendable () throws(PolicyFileError) -> PolicyFile
  package var reload: @Sendable (Peer?, @escaping Tell<ReloadResult>) -> Void
  package var saveSnapshot:
    @Sendable (Peer?, @escaping Tell<Result<SnapshotAnswer, Problem>>) -> Void
  package var runTime: RunTimeAccess

  package init(
    runtime: Runtime, monitor: DecisionMonitor, events: EventLog, facts: DaemonFacts,
    figures: @escaping @Sendable () -> DaemonFigures,
    read: @escaping @Sendable () throws(PolicyFileError) -> PolicyFile,
    reload: @escaping @Sendable (Peer?, @escaping Tell<ReloadResult>) -> Void,
    saveSnapshot:
      @escaping @Sendable (
        Peer?, @escaping Tell<Result<SnapshotAnswer, Problem>>
      ) -> Void, runTime: RunTimeAccess
  ) {
    self.runtime = runtime
    self.monitor = monitor
    self.events = events
    self.facts = facts
    self.figures = figures
    self.read = read
    self.reload = reload
    self.saveSnapshot = saveSnapshot
    self.runTime = runTime
  }
}
