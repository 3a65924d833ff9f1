// The log of events by itself: what is kept, what is told, and what is bounded.

import LimitEngine
import LimitSystem
import Synchronization
import Testing

@testable import LimitRuntime

/// The pages that a reader was told.
private final class Told: Sendable {
  let pages = Locked<[EventPage]>([])
  var count: Int { pages.withLock { $0.count } }
  var last: EventPage? { pages.withLock { $0.last } }
  func tell(_ page: EventPage) { pages.withLock { $0.append(page) } }
}

@Suite struct EventLogTests {
  private func tenant(_ number: Int, isNamed: Bool = true) -> EventTenant {
    EventTenant(
      name: "t\(number)", fingerprint: Fingerprint(low: UInt64(number), high: 1), isNamed: isNamed)
  }

  private func event(_ number: Int, isNamed: Bool = true) -> Event {
    Event(.tenantChanged, tenant: tenant(number, isNamed: isNamed))
  }

  private func question(
    after: UInt64? = nil, most: Int = 500, tenant: Int? = nil
  ) -> EventLog.Question {
    EventLog.Question(after: after, most: most) {
      { event in tenant.map { event.tenant?.name == "t\($0)" } ?? true }
    }
  }

  @Test(
    "A reader that asks after what it has misses nothing, and is told what it came too late for")
  func pages() {
    let recorded = Locked(0)
    let log = EventLog { _ in recorded.withLock { $0 += 1 } }
    let start = log.page(question()).nextAfter
    var numbers: [UInt64] = []
    for number in 0..<3000 { numbers += log.add([event(number % 200)]) }
    #expect(numbers.count == 3000 && recorded.withLock { $0 } == 3000)
    #expect(numbers == numbers.sorted() && Set(numbers).count == 3000)
    var (after, seen, lost): (UInt64, [UInt64], UInt64) = (start, [], 0)
    while true {
      let page = log.page(question(after: after))
      (after, lost) = (page.nextAfter, lost + page.lostCount)
      if page.events.isEmpty { break }
      seen += page.events.map(\.id)
    }
    #expect(lost == UInt64(3000 - EventLog.most) && seen == numbers.suffix(EventLog.most))
    // The newest without a place to begin at, and only the wanted ones.
    #expect(log.page(question(most: 3)).events.map(\.id) == numbers.suffix(3))
    let own = log.page(question(after: numbers[2000], most: 2, tenant: 7))
    #expect(own.events.map(\.tenant?.name) == ["t7", "t7"])
    #expect(own.nextAfter == own.events[1].id)
    // From a run before, and from a clock that was ahead.
    #expect(log.page(question(after: 5)).lostCount == UInt64(3000 - EventLog.most))
    let ahead = log.page(question(after: .max))
    #expect(ahead.events.isEmpty && ahead.nextAfter == numbers.last && ahead.lostCount == 0)
  }

  @Test("Who waits is told of the next event that it wants, or that there was none")
  func waiting() {
    let log = EventLog { _ in }
    let after = log.page(question()).nextAfter
    let (all, own, short) = (Told(), Told(), Told())
    let later = Clock.bootNanoseconds() + 3_600_000_000_000
    log.wait(for: question(after: after), until: later, all.tell)
    log.wait(for: question(after: after, tenant: 2), until: later, own.tell)
    log.wait(for: question(after: after, tenant: 2), until: 0, short.tell)
    log.passTime()
    #expect(all.count == 0 && own.count == 0 && short.count == 1)
    #expect(short.last?.events.isEmpty == true)
    log.add([event(1)])
    #expect(all.last?.events.map(\.tenant?.name) == ["t1"] && own.count == 0)
    log.add([event(3), event(2)])
    #expect(all.count == 1 && own.last?.events.map(\.tenant?.name) == ["t2"])
    // What is there already is told at once.
    log.wait(for: question(after: after), until: later, all.tell)
    #expect(all.count == 2 && all.last?.events.count == 3)
  }

  @Test("Only so many wait: the one that has waited longest is answered for another")
  func waiters() {
    let log = EventLog { _ in }
    let after = log.page(question()).nextAfter
    let told = Told()
    for _ in 0..<EventLog.waitersMax + 10 {
      log.wait(for: question(after: after), until: .max, told.tell)
    }
    #expect(told.count == 10)
    log.add([event(1)])
    #expect(told.count == EventLog.waitersMax + 10)
  }

  @Test("One tenant's events are bounded, and say how many were left out; others' are not touched")
  func rates() {
    var rates = EventRates(at: 0)
    let burst = Int(EventRates.ofTenant.burst)
    let kept = (0..<100).filter { _ in rates.admit(tenant(1), at: 0) != nil }
    #expect(kept.count == burst)
    #expect(rates.admit(tenant(2), at: 0) == 0)
    #expect(rates.admit(nil, at: 0) == 0)
    #expect(rates.admit(tenant(1), at: EventRates.ofTenant.period - 1) == nil)
    #expect(rates.admit(tenant(1), at: EventRates.ofTenant.period) == UInt64(100 - burst + 1))
    #expect(rates.admit(tenant(1), at: EventRates.ofTenant.period) == nil)
    // Names that somebody makes up share what there is for all of them.
    let guests = (0..<1000).filter { rates.admit(tenant($0, isNamed: false), at: 0) != nil }
    #expect(guests.count == Int(EventRates.ofOthers.burst))
    // More than are told apart.
    for number in 0..<10_000 { _ = rates.admit(tenant(number), at: 0) }
    let log = EventLog { _ in }
    #expect(log.add((0..<100).map { _ in event(1) }).count == burst)
  }

  @Test("Long texts are cut")
  func texts() {
    let log = EventLog { _ in }
    var long = event(1)
    (long.key, long.before) = (String(repeating: "x", count: 10_000), "short")
    log.add([long])
    let kept = log.page(question()).events
    #expect(kept.first?.key?.count == 512 && kept.first?.before == "short")
  }

  private func sight(
    _ number: Int, _ limit: String? = "few", isNamed: Bool = true,
    _ matter: TenantWatch.Matter = .denied
  ) -> TenantWatch.Sight {
    TenantWatch.Sight(
      matter: matter, tenant: tenant(number).fingerprint, isNamed: isNamed, limit: limit)
  }

  @Test("Denials begin once for a tenant and limit, and are over when none was seen for a while")
  func beginningsAndEnds() {
    var watch = TenantWatch()
    var names = 0
    func note(_ sight: TenantWatch.Sight, at now: UInt64) -> Event? {
      watch.note(sight, at: now) {
        names += 1
        return "t"
      }
    }
    #expect(note(sight(1), at: 0)?.kind == .denialStarted)
    #expect(note(sight(1), at: 1) == nil && names == 1)
    #expect(note(sight(1, "other"), at: 1)?.limit == "other")
    #expect(note(sight(2), at: 2)?.limit == "few")
    #expect(note(sight(1, "few", .soft), at: 2)?.kind == .softThreshold)
    #expect(watch.isSoft(tenant(1).fingerprint) && !watch.isSoft(tenant(2).fingerprint))
    let quiet = TenantWatch.quiet
    #expect(note(sight(1), at: quiet - 1) == nil)
    let over = watch.settle(at: quiet + 2)
    #expect(
      Set(over.map { "\($0.kind) \($0.limit ?? "")" }) == [
        "denialStopped other", "denialStopped few",
      ])
    #expect(over.count == 2)
    // A soft threshold is passed without a word, and may be told again.
    #expect(!watch.isSoft(tenant(1).fingerprint))
    #expect(note(sight(1, "few", .soft), at: quiet + 3) != nil)
    let last = watch.settle(at: 3 * quiet)
    #expect(last.map(\.kind) == [.denialStopped] && last[0].duration == Nanoseconds(quiet - 1))
    #expect(note(sight(1), at: 3 * quiet)?.kind == .denialStarted)
  }

  @Test("What goes on is watched in bounded memory, and invented names take no named tenant's room")
  func watchIsBounded() {
    var watch = TenantWatch()
    func begins(_ number: Int, isNamed: Bool) -> Bool {
      watch.note(sight(number, isNamed: isNamed), at: 0) { "t" } != nil
    }
    #expect((0..<1000).filter { begins($0, isNamed: false) }.count == TenantWatch.guestsMax)
    #expect((1000..<9000).filter { begins($0, isNamed: true) }.count == TenantWatch.namedMax)
    #expect(
      watch.settle(at: 2 * TenantWatch.quiet).count == TenantWatch.guestsMax + TenantWatch.namedMax)
    #expect(begins(1, isNamed: false) && begins(2, isNamed: true))
  }
}
