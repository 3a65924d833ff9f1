// `GET /v1/status`.

import Glibc
import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitSystem

extension Endpoints {
  func status(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let (facts, figures) = (source.facts, source.figures())
    let file = call.rulebook.file
    return .now(
      AdminResponse(
        DaemonStatus(
          version: facts.version, pid: Int(getpid()),
          uptimeSeconds: Self.seconds(since: facts.startedAt, until: Clock.bootNanoseconds()),
          configPath: facts.configPath, socketPath: facts.socketPath,
          stateDirectory: facts.stateDirectory, workers: facts.workers,
          limits: file.limitNames.count, policies: file.policyNames.count,
          plans: file.planNames.count, namedTenants: file.tenantCount,
          otherTenants: file.anyTenantRule, decisions: source.runtime.decisionCount,
          connections: figures.connections, connectionsMax: figures.connectionsMax,
          connectionsRefused: figures.connectionsRefused, connectionBytes: figures.connectionBytes,
          tables: Scope.allCases.map { scope in
            let occupancy = source.runtime.engine.occupancy(scope)
            return .init(scope: scope.name, slots: occupancy.slots, live: occupancy.live)
          }, snapshots: figures.snapshots, reloads: figures.reloads,
          roles: call.access.everywhere.names)))
  }
}
