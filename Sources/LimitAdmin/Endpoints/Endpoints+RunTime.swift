// What administrators set at run time, and the record of what they changed.

import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime

extension Endpoints {
  /// How long a block may last at most, in seconds: 100 years.
  private static let blockSecondsMax = 3_155_760_000
  /// Differences that are told one by one.
  private static let differencesMax = 1000

  // MARK: Tenants

  func editTenant(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let asked = try decode(TenantEdit.self, call)
    guard asked.plan != nil || !asked.settings.isEmpty else {
      throw .badRequest("this changes nothing; give a plan or settings")
    }
    for setting in asked.settings where setting.parameter == nil && setting.value != nil {
      throw .badRequest("a setting of '\(setting.limit.shown)' has a value and no parameter")
    }
    return change(
      .edit(
        tenant: call.names[0], plan: asked.plan,
        asked.settings.map { .init(limit: $0.limit, parameter: $0.parameter, value: $0.value) }),
      call, isDryRun: asked.dryRun)
  }

  func clearTenant(_ call: Call) throws(Problem) -> Outcome {
    change(.clear(tenant: call.names[0]), call, isDryRun: try isDryRun(call))
  }

  func block(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let asked = try decode(BlockRequest.self, call)
    return change(
      .block(
        tenant: call.names[0], Overlay.Block(reason: asked.reason, until: try Self.end(of: asked))),
      call, isDryRun: asked.dryRun)
  }

  private static func end(of asked: BlockRequest) throws(Problem) -> UInt64? {
    let now = WallTime.now
    switch (asked.until, asked.forSeconds) {
    case (nil, nil): return nil
    case (let text?, nil):
      guard let until = WallTime.seconds(text) else {
        throw .badRequest("until is a time such as 2026-11-26T03:00:00Z, or a date")
      }
      guard until > now else { throw .badRequest("until is over already") }
      return until
    case (nil, let seconds?):
      guard (1...blockSecondsMax).contains(seconds) else {
        throw .badRequest("for_seconds is a number from 1 to \(blockSecondsMax)")
      }
      return now + UInt64(seconds)
    case (_?, _?): throw .badRequest("a block has until or for_seconds, and not both")
    }
  }

  func unblock(_ call: Call) throws(Problem) -> Outcome {
    change(.unblock(tenant: call.names[0]), call, isDryRun: try isDryRun(call))
  }

  // MARK: Changes

  /// Has a change made, and answers when it is in force.
  func change(_ change: OverlayChange, _ call: Call, isDryRun: Bool) -> Outcome {
    guard let peer = call.peer else { return .now(AdminResponse(.forbidden("nobody asks"))) }
    let source = self.source
    return .later { tell in
      source.runTime.change(change, peer, isDryRun) { result in
        switch result {
        case .failure(let problem): tell(AdminResponse(problem))
        case .success(let differences):
          tell(
            AdminResponse(
              ChangeAnswer(
                isInForce: !isDryRun, differenceCount: differences.count,
                differences: differences.prefix(Self.differencesMax).map { Self.difference($0) },
                notes: Self.notes(on: change, source.runtime.rulebook.file))))
        }
      }
    }
  }

  private static func difference(_ difference: OverlayDifference) -> ChangeAnswer.Difference {
    let (kind, name) =
      switch difference.subject {
      case .tenant(let name): ("tenant", name)
      case .limit(let name): ("limit", name)
      }
    return .init(kind: kind, name: name, before: difference.before, after: difference.after)
  }

  /// What a change does not do, though one might think so.
  private static func notes(on change: OverlayChange, _ file: PolicyFile) -> [String] {
    guard case .unblock(let name) = change, let entry = file.tenantEntry(named: name),
      entry.standing == .blocked, entry.block == nil
    else { return [] }
    return ["the policy file blocks this tenant\(entry.line.map { ", in line \($0)" } ?? "")"]
  }

  /// `?dry_run=true`, of requests without a body.
  func isDryRun(_ call: Call) throws(Problem) -> Bool {
    try call.request.refuseParameters(besides: ["dry_run"])
    try refuseBody(call)
    switch call.request.parameters["dry_run"] {
    case nil, "false": return false
    case "true": return true
    default: throw .badRequest("dry_run is true or false")
    }
  }

  // MARK: The record

  func audit(_ call: Call) throws(Problem) -> Outcome {
    let request = call.request
    try request.refuseParameters(besides: ["tenant", "limit", "before"])
    let most = try request.number("limit", in: 1...1000, else: 100)
    let before = try request.number("before", in: 1...Int.max, else: .max)
    let entries = try source.runTime.audit(
      AuditQuestion(
        tenant: request.parameters["tenant"], before: before == .max ? nil : before, most: most))
    return .now(
      AdminResponse(
        AuditPage(
          entries: entries,
          nextBefore: entries.count == most && entries.last?.number != 1
            ? entries.last?.number : nil)))
  }
}

extension TenantOverrides {
  init(_ name: String, _ value: Overlay.Tenant) {
    self.init(
      tenant: name, plan: value.plan,
      settings: value.settings.map {
        OverrideSetting(limit: $0.limit, parameter: $0.parameter, value: $0.value)
      }, block: value.block.map { TenantBlock($0) })
  }
}

extension TenantBlock {
  init(_ block: Overlay.Block) {
    self.init(reason: block.reason, until: block.until.map { WallTime.text(seconds: $0) })
  }
}
