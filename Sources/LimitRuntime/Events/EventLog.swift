// The last events, for whoever asks, and for those who wait for the next one. Bounded: a reader that asks
// too late is told how many it has missed, and nobody waits for it.
//
//     monitor, upkeep, snapshots ─▶ add ─┬─▶ ring ─▶ page
//                                        ├─▶ who waits
//                                        └─▶ the journal

import LimitEngine
import LimitSystem

/// Some events, oldest first, and how a reader goes on.
package struct EventPage: Sendable {
  package var events: [Event] = []
  /// What to ask for the next ones after.
  package var nextAfter: UInt64
  /// How many events, whoever's, are gone that came after what was asked for.
  package var lostCount: UInt64 = 0
}

/// Any thread.
package final class EventLog: Sendable {
  /// Whether a reader may have an event, and wants it. Made anew for each look, by what is in force then.
  package typealias Filter = @Sendable () -> (Event) -> Bool

  /// Events that are kept.
  package static let most = 2048
  /// Readers that wait; for another the one that has waited longest is answered.
  static let waitersMax = 256

  /// What a reader asks for.
  package struct Question: Sendable {
    /// Only those with a higher number; `nil`: the newest ones.
    package var after: UInt64?
    /// How many at most; at least 1.
    package var most: Int
    package var filter: Filter

    package init(after: UInt64?, most: Int, filter: @escaping Filter) {
      self.after = after
      self.most = most
      self.filter = filter
    }
  }

  private struct Waiter {
    var question: Question
    /// CLOCK_BOOTTIME, in ns.
    var deadline: UInt64
    var tell: @Sendable (EventPage) -> Void
  }

  private struct State {
    /// A ring: the event with number `first + n` is at `n % most`.
    var ring: [Event] = []
    /// The number of the first event of this run, and of the next one.
    let first: UInt64
    var next: UInt64
    var rates: EventRates
    var waiters: [Waiter] = []

    /// The number of the oldest one that is kept.
    var oldest: UInt64 { next - UInt64(ring.count) }
  }

  private let state: Locked<State>
  private let record: @Sendable (Event) -> Void

  /// - Parameter record: told of each event that is kept, on the thread that adds it; must not take long.
  package init(_ record: @escaping @Sendable (Event) -> Void) {
    // By the wall clock in µs, so that numbers ascend from one run to the next.
    let first = Clock.wallNanoseconds() / 1000
    state = Locked(
      State(first: first, next: first, rates: EventRates(at: Clock.bootNanoseconds())))
    self.record = record
  }

  // MARK: Adding

  /// Adds an event, unless there were too many of its tenant.
  ///
  /// - Returns: its number; `nil` where it is not kept.
  @discardableResult package func add(_ event: Event) -> UInt64? { add([event]).first }

  /// Adds events, as far as there are not too many of a tenant. O(events + waiters).
  ///
  /// - Returns: the numbers of those that are kept.
  @discardableResult package func add(_ events: [Event]) -> [UInt64] {
    let (now, time) = (Clock.bootNanoseconds(), Clock.wallNanoseconds())
    let kept = state.withLock { state in
      var kept: [Event] = []
      for event in events {
        guard let suppressed = state.rates.admit(event.tenant, at: now) else { continue }
        var event = event.cut()
        (event.id, event.time, event.suppressedCount) = (state.next, time, suppressed)
        let place = Int((event.id - state.first) % UInt64(Self.most))
        if place < state.ring.count { state.ring[place] = event } else { state.ring.append(event) }
        state.next += 1
        kept.append(event)
      }
      return kept
    }
    guard !kept.isEmpty else { return [] }
    for event in kept { record(event) }
    tellWaiters { _ in false }
    return kept.map(\.id)
  }

  // MARK: Reading

  /// What there is now. O(events).
  package func page(_ question: Question) -> EventPage {
    state.withLock { Self.page(question, $0) }
  }

  /// Tells `tell` what there is, once there is something that the reader may have, or at the deadline.
  ///
  /// - Parameters:
  ///   - deadline: CLOCK_BOOTTIME, in ns.
  ///   - tell: called once, on any thread.
  package func wait(
    for question: Question, until deadline: UInt64, _ tell: @escaping @Sendable (EventPage) -> Void
  ) {
    let (page, displaced) = state.withLock { state -> (EventPage?, Waiter?) in
      let page = Self.page(question, state)
      guard page.events.isEmpty, page.lostCount == 0 else { return (page, nil) }
      let isFull = state.waiters.count >= Self.waitersMax
      let displaced = isFull ? state.waiters.removeFirst() : nil
      state.waiters.append(Waiter(question: question, deadline: deadline, tell: tell))
      return (nil, displaced)
    }
    if let page { tell(page) }
    if let displaced { displaced.tell(self.page(displaced.question)) }
  }

  /// Answers those whose time is over. Call it about once a second.
  package func passTime() {
    let now = Clock.bootNanoseconds()
    tellWaiters { $0 <= now }
  }

  /// Tells those for whom there is something, or whose time is over.
  private func tellWaiters(_ isOver: (UInt64) -> Bool) {
    let told = state.withLock { state in
      var (told, left): ([(Waiter, EventPage)], [Waiter]) = ([], [])
      for waiter in state.waiters {
        let page = Self.page(waiter.question, state)
        let isDue = isOver(waiter.deadline) || !page.events.isEmpty || page.lostCount > 0
        if isDue { told.append((waiter, page)) } else { left.append(waiter) }
      }
      state.waiters = left
      return told
    }
    for (waiter, page) in told { waiter.tell(page) }
  }

  private static func page(_ question: Question, _ state: State) -> EventPage {
    let isWanted = question.filter()
    func event(_ number: UInt64) -> Event {
      state.ring[Int((number - state.first) % UInt64(most))]
    }
    var page = EventPage(nextAfter: state.next - 1)
    guard let given = question.after else {
      for number in (state.oldest..<state.next).reversed() where page.events.count < question.most {
        if isWanted(event(number)) { page.events.append(event(number)) }
      }
      page.events.reverse()
      return page
    }
    // One from before this run has missed nothing of it; one from a clock that was ahead begins here.
    let after = min(max(given, state.first - 1), state.next - 1)
    page.lostCount = state.oldest - min(state.oldest, after + 1)
    for number in max(after + 1, state.oldest)..<state.next where isWanted(event(number)) {
      page.events.append(event(number))
      if page.events.count == question.most {
        page.nextAfter = number
        break
      }
    }
    return page
  }
}
