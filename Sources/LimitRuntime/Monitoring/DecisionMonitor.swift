// Reads what the workers hand over of their decisions, and keeps what people ask about: the last denials
// of each tenant, who is decided on and denied most, and the events of who begins to be denied. Off the
// query path: where it is late, or not called at all, workers go on and count what they could not hand over.
//
//     worker ─┬▶ SampleRing ───────▶ DecisionMonitor.drain ─┬─▶ DenialLog
//             └▶ DecisionCounters ─▶                        ├─▶ Activity
//                                                           ├─▶ TenantWatch ─▶ EventLog
//                                                           └─▶ BusyPairs ───▶ CounterRegistry

package import LimitEngine
import LimitSystem

/// Any thread.
package final class DecisionMonitor: Sendable {
  struct State {
    var denials = DenialLog()
    var activity: Activity
    var watch = TenantWatch()
    var counters = CounterWatch()
    var busy: BusyPairs

    /// - Parameter now: CLOCK_BOOTTIME, in ns.
    init(at now: UInt64) {
      activity = Activity(at: now)
      busy = BusyPairs(at: now)
    }
  }

  let runtime: Runtime
  private let events: EventLog
  private let state: Locked<State>

  package init(_ runtime: Runtime, _ events: EventLog) {
    self.runtime = runtime
    self.events = events
    state = Locked(State(at: Clock.bootNanoseconds()))
  }

  /// Takes what the workers have handed over since the last time. O(samples), at most 1,024 per worker.
  ///
  /// - Returns: whether there was anything.
  @discardableResult package func drain() -> Bool { drain(at: Moment.now) }

  /// - Parameter now: read when nobody else drains.
  @discardableResult func drain(at now: () -> Moment) -> Bool {
    let (isAny, found) = state.withLock { state in
      let moment = now()
      state.activity.pass(to: moment.boot) { counted() }
      var (isAny, found): (Bool, [Event]) = (false, [])
      var soft = SoftSights()
      for ring in runtime.sampleRings {
        ring.drain { sample, tenant, key in
          isAny = true
          if sample.weight > 0 {
            state.activity.add(sample, tenant: tenant, key: key)
            note(useOf: sample, tenant, moment, &state)
          }
          if sample.outcome != .allow {
            let denial = denial(sample, key, moment)
            state.denials.add(denial, of: sample.tenant)
            note(denial, sample, tenant, moment, &state, &found)
          } else if sample.flags.contains(.softThreshold) {
            soft.add(sample, tenant: tenant, key: key)
          }
        }
      }
      for sight in soft.sights { note(sight, moment, &state, &found) }
      noteCounted(moment, &state, &found)
      found += state.watch.settle(at: moment.boot)
      return (isAny, found)
    }
    if !found.isEmpty { events.add(found) }
    return isAny
  }

  /// A decision that was sampled: a tenant that is counted with others, and used much, is counted by itself
  /// from now on. Not one that no rule is about.
  private func note(
    useOf sample: DecisionSample, _ tenant: UnsafeRawBufferPointer, _ moment: Moment,
    _ state: inout State
  ) {
    let (fingerprint, standing) = (sample.tenant.fingerprint, sample.tenant.standing)
    guard standing == .limited || standing == .unlimited,
      runtime.counterRegistry.isOfOthers(sample.block),
      state.busy.isDue(fingerprint, under: sample.block, at: moment.boot)
    else { return }
    runtime.counterRegistry.promote(
      fingerprint, named: String(decoding: tenant, as: UTF8.self), under: sample.block)
  }

  /// Decisions that could not be handed over, since nobody drained in time.
  package var lostCount: UInt64 { runtime.sampleRings.reduce(0) { $0 &+ $1.lostCount } }

  /// The last denials of a tenant, up to now.
  package func denials(of tenant: Tenant) -> TenantDenials {
    drain()
    return state.withLock { $0.denials.denials(of: tenant.fingerprint) }
  }

  /// Who was decided on most lately, up to now.
  package func activity() -> ActivityReport {
    drain()
    return state.withLock {
      $0.activity.report(at: Clock.bootNanoseconds(), counted: counted())
    }
  }

  /// The workers' counters, added up. O(blocks × workers).
  private func counted() -> CountedDecisions {
    var sums = CountedDecisions()
    for (block, words) in runtime.counters() {
      for (place, limit) in block.limits.enumerated() {
        let decided = DecisionSums(
          allowed: DecisionCounters.decided(place: place, .allow, in: words),
          denied: DecisionCounters.decided(place: place, .deny, in: words)
            &+ DecisionCounters.decided(place: place, .never, in: words))
        sums.byLimit[limit, default: DecisionSums()].add(decided)
        sums.all.add(decided)
      }
      sums.all.denied &+=
        DecisionCounters.blocked(in: words) &+ DecisionCounters.unknownTenant(in: words)
    }
    return sums
  }

  // MARK: Samples

  /// The same moment on all clocks.
  struct Moment {
    var boot: UInt64
    var wall: UInt64
    var engine: Instant

    static func now() -> Moment {
      let boot = Clock.bootNanoseconds()
      return Moment(
        boot: boot, wall: Clock.wallNanoseconds(), engine: EngineClock.instant(atBoot: boot))
    }

    /// Unix time of an instant before this one, in ns.
    func wall(of instant: Instant) -> UInt64 {
      let age = engine.nanoseconds - min(engine.nanoseconds, instant.nanoseconds)
      return wall - min(wall, age)
    }
  }

  private func denial(
    _ sample: DecisionSample, _ key: UnsafeRawBufferPointer, _ moment: Moment
  ) -> Denial {
    let block = runtime.counterRegistry.block(sample.block)
    let place = Int(sample.place)
    return Denial(
      time: moment.wall(of: sample.at), policy: block.policy,
      limit: place < block.limits.count ? block.limits[place] : nil,
      key: String(decoding: key, as: UTF8.self), outcome: sample.outcome, reason: sample.reason,
      cost: sample.cost,
      retryAfter: sample.retryAfter == Decision.noWait ? nil : sample.retryAfter)
  }
}
