// What happened, at once or when it happens next.

import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitSystem

extension Endpoints {
  /// Events of an answer.
  private static let eventsMax = 500
  /// How long an answer may be waited for, in seconds: below what ends a connection.
  private static let waitMax = 60

  func events(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: ["after", "limit", "tenant", "wait"])
    let most = try call.request.number("limit", in: 1...Self.eventsMax, else: 100)
    let wait = try call.request.number("wait", in: 0...Self.waitMax, else: 0)
    var after: UInt64?
    if call.request.parameters["after"] != nil {
      after = UInt64(try call.request.number("after", in: 0...(.max), else: 0))
    } else if wait > 0 {
      throw .badRequest("wait goes with after")
    }
    let tenant = try call.request.parameters["tenant"].map { name throws(Problem) in
      try observed(name, call)
    }
    guard let peer = call.peer else { throw .forbidden("who asks is not known") }
    let (runtime, log) = (source.runtime, source.events)
    let question = EventLog.Question(after: after, most: most) {
      // By the rules in force when there is something to tell, not when it was asked for.
      let access = runtime.rulebook.access.resolve(peer)
      let isForAll = access.mayReadAll
      return { event in
        guard tenant.map({ $0.fingerprint == event.tenant?.fingerprint }) ?? true else {
          return false
        }
        return isForAll || event.tenant.map { access.mayRead(of: $0.fingerprint) } ?? false
      }
    }
    guard wait > 0 else { return .now(AdminResponse(EventList(log.page(question)))) }
    let deadline = Clock.bootNanoseconds() + UInt64(wait) * 1_000_000_000
    return .later { tell in
      log.wait(for: question, until: deadline) { tell(AdminResponse(EventList($0))) }
    }
  }
}

extension EventList {
  fileprivate init(_ page: EventPage) {
    self.init(
      events: page.events.map { Event($0) }, nextAfter: page.nextAfter, lost: page.lostCount)
  }
}

extension EventList.Event {
  fileprivate init(_ event: LimitRuntime.Event) {
    self.init(id: event.id, time: Endpoints.time(event.time), kind: event.kind.rawValue)
    tenantId = event.tenant?.name
    (limit, policy, key) = (event.limit, event.policy, event.key)
    reason = event.reason?.name
    durationSeconds = event.duration.map(Endpoints.seconds)
    (action, author) = (event.action, event.author)
    (from, to, detail) = (event.before, event.after, event.detail)
    suppressed = event.suppressedCount == 0 ? nil : event.suppressedCount
  }
}
