// Limits and tenants, as the rules in force have them.

import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime

extension Endpoints {
  /// Tenants on one page.
  private static let pageMax = 1000

  // MARK: Limits

  func limits(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    return .now(AdminResponse(LimitList(limits: summaries(call.rulebook.file.limitEntries))))
  }

  func limit(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let name = call.names[0]
    let file = call.rulebook.file
    guard let entry = file.limitEntries.first(where: { $0.name.utf8.elementsEqual(name.utf8) })
    else {
      throw .notFound(Self.unknown("limit", name, among: file.limitNames))
    }
    return .now(AdminResponse(summaries([entry])[0]))
  }

  private func summaries(_ entries: [LimitEntry]) -> [LimitSummary] {
    let decided = CountTotals(source.runtime.counters()).byLimit
    return entries.map { entry in
      let counts = decided[entry.name] ?? Counts()
      return LimitSummary(
        limit: entry.name, algorithm: entry.algorithm, scope: entry.scope, unit: entry.unit,
        mode: entry.mode.name,
        parameters: entry.parameters.map { RuleParameter(name: $0.name, value: $0.value) },
        policies: entry.policies, plans: entry.plans, tenants: entry.tenantCount,
        allowed: counts.allowed, denied: counts.denied, never: counts.never)
    }
  }

  static func unknown(_ kind: String, _ name: String, among names: [String]) -> String {
    let advice = Suggestion.nearest(to: name, among: names).map { "; did you mean '\($0)'?" } ?? ""
    return "there is no \(kind) '\(name.shown)'\(advice)"
  }

  // MARK: Tenants

  func tenants(_ call: Call) throws(Problem) -> Outcome {
    let request = call.request
    try request.refuseParameters(besides: ["search", "offset", "limit"])
    let offset = try request.number("offset", in: 0...PolicyFile.tenantsMax, else: 0)
    let most = try request.number("limit", in: 1...Self.pageMax, else: 100)
    let (entries, total) = call.rulebook.file.tenantEntries(
      containing: request.parameters["search"] ?? "", from: offset, atMost: most)
    return .now(
      AdminResponse(
        TenantPage(
          total: total, offset: offset,
          tenants: entries.map {
            TenantSummary(
              tenant: $0.name, standing: $0.standing.name, plan: $0.plan,
              overrides: $0.overrides.count)
          })))
  }

  func tenant(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let name = call.names[0]
    let (policies, file) = (call.rulebook.policies, call.rulebook.file)
    let tenant = try observed(name, call)
    var limits: [TenantDetail.Limit] = []
    var seen: Set<LimitIndex> = []
    for (number, policy) in policies.policyNames.enumerated() {
      let index = PolicyIndex(UInt16(number))
      guard let explanation = file.explain(tenant: name, policy: policy) else { continue }
      let query = Query(
        tenant: tenant, policy: index, key: tenant.fingerprint(ofKey: .init(start: nil, count: 0)))
      let readings = source.runtime.engine.readings(query, under: policies, at: EngineClock.now())
      for (limit, reading) in zip(explanation.limits, readings)
      where seen.insert(reading.limit).inserted {
        limits.append(
          TenantDetail.Limit(
            limit: limit.name, algorithm: limit.algorithmName, scope: limit.scope.name,
            unit: limit.unit, mode: limit.mode.name, parameters: Self.parameters(of: limit),
            bucket: limit.scope == .key ? nil : BucketState(reading)))
      }
    }
    let entry = file.tenantEntry(named: name) ?? file.anyTenantEntry
    return .now(
      AdminResponse(
        TenantDetail(
          tenant: name, isNamed: tenant.isNamed, standing: tenant.standing.name, plan: entry?.plan,
          line: entry?.line, liveKeys: source.runtime.engine.liveKeys(of: tenant),
          counts: CountTotals(source.runtime.counters { $0.tenant == name }).byTenant[name],
          limits: limits,
          overrides: source.runTime.overlay()[tenant: name].map { TenantOverrides(name, $0) })))
  }

  /// A tenant that the caller may look at.
  func observed(_ name: String, _ call: Call) throws(Problem) -> Tenant {
    var text = name
    let isName = text.withUTF8 { TenantName.isValid(UnsafeRawBufferPointer($0)) }
    guard isName else {
      throw .badRequest(
        "a tenant's name has 1 to 255 bytes of UTF-8 without white space and control characters")
    }
    let tenant = call.rulebook.policies.tenant(named: name)
    guard call.mayObserve(tenant) else {
      throw .forbidden("this needs the role 'observe' in daemon.access, for this tenant")
    }
    return tenant
  }

  static func parameters(of limit: Explanation.Limit) -> [SourcedParameter] {
    limit.parameters.filter { $0.name != "scope" && $0.name != "unit" }.map { parameter in
      let (source, line): (String, Int?) =
        switch parameter.source {
        case .base(let line): ("base", line)
        case .plan(let name, let line): ("plan \(name)", line)
        case .tenant(let name, let line): ("tenant \(name)", line)
        case .runTime: ("run time", nil)
        case .unwritten: ("default", nil)
        }
      return SourcedParameter(
        name: parameter.name, value: parameter.value,
        note: parameter.note.isEmpty ? nil : parameter.note, source: source, line: line)
    }
  }
}

extension BucketState {
  init(_ reading: BucketReading) {
    self.init(
      capacity: reading.capacity, remaining: reading.remaining,
      resetAfterSeconds: Endpoints.seconds(reading.resetAfter), isPresent: reading.isPresent,
      isOverflow: reading.isOverflow, isPastSoftThreshold: reading.isPastSoftThreshold)
  }
}
