// `POST /v1/peek`: what a query would come to, and what every limit says to it.

import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime

extension Endpoints {
  func peek(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let asked = try decode(PeekRequest.self, call)
    let tenant = try observed(asked.tenant, call)
    let (policies, file) = (call.rulebook.policies, call.rulebook.file)
    guard let policy = policies.policy(named: asked.policy),
      let explanation = file.explain(tenant: asked.tenant, policy: asked.policy)
    else {
      throw .notFound(Self.unknown("policy", asked.policy, among: file.policyNames))
    }
    var keyText = asked.key
    let key = keyText.withUTF8 { tenant.fingerprint(ofKey: UnsafeRawBufferPointer($0)) }
    let query = Query(tenant: tenant, policy: policy, key: key, cost: asked.cost)
    let now = EngineClock.now()
    let decision = source.runtime.engine.peek(query, under: policies, at: now)
    var limits: [PeekAnswer.Limit] = []
    if tenant.standing == .limited || tenant.standing == .unlimited {
      let readings = source.runtime.engine.readings(query, under: policies, at: now)
      limits = zip(explanation.limits, readings).map { Self.limit($0, $1) }
    }
    return .now(
      AdminResponse(
        PeekAnswer(
          tenant: asked.tenant, isNamed: tenant.isNamed, standing: tenant.standing.name,
          plan: explanation.plan?.name, policy: asked.policy, key: asked.key, cost: asked.cost,
          outcome: decision.outcome.name,
          decidedBy: decision.limit == .none
            ? nil : policies.limits[Int(decision.limit.rawValue)].name, limits: limits,
          block: file.tenantEntry(named: asked.tenant)?.block.map { TenantBlock($0) })))
  }

  private static func limit(
    _ limit: Explanation.Limit, _ reading: BucketReading
  ) -> PeekAnswer.Limit {
    let hasWait = reading.outcome == .deny && reading.retryAfter != Decision.noWait
    return PeekAnswer.Limit(
      limit: limit.name, algorithm: limit.algorithmName, scope: limit.scope.name,
      unit: limit.unit, mode: limit.mode.name, parameters: parameters(of: limit),
      cost: reading.cost, outcome: reading.outcome.name,
      retryAfterSeconds: hasWait ? seconds(reading.retryAfter) : nil,
      bucket: BucketState(reading))
  }
}
