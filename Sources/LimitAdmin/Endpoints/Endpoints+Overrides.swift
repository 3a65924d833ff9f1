// What is set at run time as a whole, the rules that it makes with the policy file, and buckets that are
// made as if never used.

import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime

extension Endpoints {
  /// Entries on one page.
  private static let pageMax = 1000

  // MARK: All of it

  func overrides(_ call: Call) throws(Problem) -> Outcome {
    let (offset, most) = try page(call)
    let overlay = source.runTime.overlay()
    let tenants = overlay.tenants
    return .now(
      AdminResponse(
        OverridesPage(
          total: tenants.count, offset: offset,
          tenants: tenants.dropFirst(offset).prefix(most).map {
            TenantOverrides($0.name, $0.value)
          },
          limits: overlay.modes.sorted { $0.key < $1.key }.map {
            .init(limit: $0.key, mode: $0.value.name)
          })))
  }

  func importOverrides(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let asked = try decode(OverridesImport.self, call)
    var values: [(tenant: String, value: Overlay.Tenant)] = []
    var seen: Set<[UInt8]> = []
    for entry in asked.tenants {
      guard seen.insert(Array(entry.tenant.utf8)).inserted else {
        throw .badRequest("the tenant '\(entry.tenant.shown)' is there twice")
      }
      values.append((entry.tenant, try Overlay.Tenant(entry)))
    }
    return change(.replace(values), call, isDryRun: asked.dryRun)
  }

  func rules(_ call: Call) throws(Problem) -> Outcome {
    let (offset, most) = try page(call)
    let file = call.rulebook.file
    return .now(
      AdminResponse(
        EffectiveRules(
          configPath: source.facts.configPath, total: file.entryCount, offset: offset,
          entries: file.entries(from: offset, atMost: most).map { entry in
            EffectiveEntry(
              kind: entry.kind.rawValue, name: entry.name, line: entry.line,
              values: entry.values.map { .init(name: $0.name, value: $0.value, line: $0.line) })
          })))
  }

  private func page(_ call: Call) throws(Problem) -> (offset: Int, most: Int) {
    try call.request.refuseParameters(besides: ["offset", "limit"])
    return (
      try call.request.number("offset", in: 0...10_000_000, else: 0),
      try call.request.number("limit", in: 1...Self.pageMax, else: 100)
    )
  }

  // MARK: A limit's mode

  func setMode(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let asked = try decode(ModeRequest.self, call)
    guard let mode = LimitMode(named: asked.mode) else {
      throw .badRequest("mode is enforce or shadow")
    }
    let (name, names) = (call.names[0], call.rulebook.file.limitNames)
    guard names.contains(name) else { throw .notFound(Self.unknown("limit", name, among: names)) }
    return change(.mode(limit: name, mode), call, isDryRun: asked.dryRun)
  }

  func unsetMode(_ call: Call) throws(Problem) -> Outcome {
    change(.mode(limit: call.names[0], nil), call, isDryRun: try isDryRun(call))
  }

  // MARK: Buckets

  func reset(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let asked = call.request.body.isEmpty ? nil : try decode(ResetRequest.self, call)
    let name = call.names[0]
    _ = try observed(name, call)
    if let limit = asked?.limit { try checkReset(of: limit, key: asked?.key, call) }
    guard let peer = call.peer else { throw .forbidden("nobody asks") }
    let source = self.source
    let isDryRun = asked?.dryRun ?? false
    return .later { tell in
      source.runTime.reset(name, asked?.limit, asked?.key, isDryRun, peer) { count in
        tell(
          AdminResponse(ResetAnswer(tenant: name, buckets: count, isInForce: !isDryRun)))
      }
    }
  }

  private func checkReset(of name: String, key: String?, _ call: Call) throws(Problem) {
    let file = call.rulebook.file
    guard let limit = call.rulebook.policies.limits.first(where: { $0.name == name }) else {
      throw .notFound(Self.unknown("limit", name, among: file.limitNames))
    }
    func refusal(_ why: String) -> Problem {
      Problem(status: 422, title: "This cannot be reset", detail: "the limit '\(name)' \(why)")
    }
    if limit.scope == .global { throw refusal("has one bucket, which everybody shares") }
    if limit.settings.parameters.algorithm == .concurrency {
      throw refusal("counts permits, which come back from those who hold them")
    }
    if key != nil, limit.scope != .key { throw refusal("has no bucket per key") }
  }
}

extension Overlay.Tenant {
  fileprivate init(_ entry: TenantOverrides) throws(Problem) {
    var block: Overlay.Block?
    if let given = entry.block {
      block = Overlay.Block(reason: given.reason)
      if let until = given.until {
        guard let seconds = WallTime.seconds(until) else {
          throw .badRequest("'\(until.shown)' is no time such as 2026-11-26T03:00:00Z")
        }
        block?.until = seconds
      }
    }
    self.init(
      plan: entry.plan,
      settings: entry.settings.map {
        Overlay.Setting(limit: $0.limit, parameter: $0.parameter, value: $0.value)
      }, block: block)
  }
}
