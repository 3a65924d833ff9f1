// What is in force: the engine, the rules that it decides by, and who decides by them.
//
//     file ─▶ Runtime.adopt ─▶ Rulebook ─▶ every Worker, between two turns
//
// The data plane's loops register as workers; the control plane (reload, upkeep, status) reads and
// replaces what is in force without knowing of sockets.

import Glibc
package import LimitEngine
package import LimitPolicy
import LimitSystem
package import Synchronization

/// One thread that decides, as others see it. Any thread.
package final class Worker: Sendable {
  /// Queries decided. Written by the worker; publishes nothing, so relaxed.
  package let decisionCount = Atomic<UInt64>(0)
  /// What it has decided, for whom.
  package let counters = DecisionCounters()
  /// What else it counts.
  package let loopCounters = LoopCounters()
  /// Some of its decisions, on their way to whoever monitors.
  package let samples = SampleRing()
  /// How many rulebooks the worker has taken. Written by the worker between two turns; releasing, for
  /// whoever waits for the turn before to be over (acquiring).
  package let takenCount = Atomic<UInt32>(0)
  /// How many it was offered. Written by whoever has `Runtime.adoption`.
  fileprivate let offeredCount = Atomic<UInt32>(0)
  /// Hands the worker a rulebook to take between two turns. Returns at once.
  fileprivate let offer: @Sendable (Rulebook) -> Void

  fileprivate init(_ offer: @escaping @Sendable (Rulebook) -> Void) { self.offer = offer }
}

/// The engine and the rules in force. Any thread.
package final class Runtime: Sendable {
  private struct State {
    var rulebook: Rulebook
    var workers: [Worker] = []
    /// `decisionCount` at the last sweep.
    var sweptAt: UInt64 = 0
    /// The time of the last sweep, in ns.
    var sweptTime: UInt64 = 0
  }

  package let engine: Engine
  /// What the workers count in.
  package let counterRegistry = CounterRegistry()
  private let state: Locked<State>
  /// One replacement at a time, from compiling a file after the rules in force to converting what
  /// was written by them.
  private let adoption = Locked(())
  /// Keeps a file for the next start, before it is put in force.
  private let keep: @Sendable (PolicyFile) -> Void

  /// What the tables are short of for the tenants that the first rules name.
  package let shortage: Engine.Shortage

  /// - Parameters:
  ///   - rulebook: in force (`Engine.goOn`).
  ///   - keep: gets each file that is put in force, before it is: the next start reads by it what was
  ///     written under it.
  package init(
    _ engine: Engine, _ rulebook: Rulebook,
    keep: @escaping @Sendable (PolicyFile) -> Void = { _ in }
  ) {
    self.engine = engine
    self.keep = keep
    shortage = engine.setAside(for: rulebook.policies)
    rulebook.policies.prepareChange()
    state = Locked(State(rulebook: rulebook))
  }

  // MARK: The rules

  /// The rules in force.
  package var rulebook: Rulebook { state.withLock { $0.rulebook } }

  /// What a change of the rules did.
  package struct Adoption: Sendable {
    /// What the tables are short of for the tenants that the rules name.
    package var shortage: Engine.Shortage
    package var count = ConversionCount()
  }

  /// Puts a file's rules in force, at one instant for all workers. When this returns, nothing is decided
  /// by the ones before any more, and what was written by them is converted.
  ///
  /// No decision waits for any of it. O(file + slots), some 10 ms per million of these. Any thread;
  /// several wait for each other.
  ///
  /// - Parameter isAbandoned: asked now and then, for a process that ends: what is left to do is left
  ///   to the next one.
  /// - Returns: `nil` where it was abandoned.
  /// - Throws: a user or group that this host does not have; the rules before stay in force.
  @discardableResult package func adopt(
    _ file: PolicyFile, unless isAbandoned: () -> Bool = { false }
  ) throws(UnknownNameError) -> Adoption? {
    try adoption.withLock { _ throws(UnknownNameError) in
      let next = try Rulebook(file, after: rulebook)
      defer { rulebook.policies.prepareChange() }
      return put(next, changing: nil, unless: isAbandoned)
    }
  }

  /// Puts the rules of the file in force over which something else is set now; as `adopt`, but for access,
  /// which nothing that is set at run time changes. So it cannot fail.
  ///
  /// - Parameters:
  ///   - tenants: where the file differs from the one in force in nothing but what it says of these; then
  ///     only they are compiled.
  ///   - isInForce: called once nothing is decided by the rules before any more, which is before what was
  ///     written by them is converted: that takes O(slots), and changes nothing that anybody sees.
  @discardableResult package func adopt(
    overlaid file: PolicyFile, changing tenants: [String]? = nil,
    unless isAbandoned: () -> Bool = { false },
    isInForce: (Engine.Shortage) -> Void = { _ in }
  ) -> Adoption? {
    adoption.withLock { _ in
      let next = Rulebook(file, keepingAccessOf: rulebook, changing: tenants)
      // Behind all that anybody waits for, and once the rules before are let go of.
      defer { rulebook.policies.prepareChange() }
      return put(next, changing: tenants, unless: isAbandoned, isInForce: isInForce)
    }
  }

  /// For whoever has `adoption`.
  private func put(
    _ rulebook: Rulebook, changing tenants: [String]?, unless isAbandoned: () -> Bool,
    isInForce: (Engine.Shortage) -> Void = { _ in }
  ) -> Adoption? {
    if isAbandoned() { return nil }
    keep(rulebook.file)
    var adoption = Adoption(
      shortage: tenants.map { engine.setAside(for: rulebook.policies, changed: $0) }
        ?? engine.setAside(for: rulebook.policies))
    let (workers, former) = state.withLock { state in
      defer { state.rulebook = rulebook }
      return (state.workers, state.rulebook)
    }
    // Whoever lets go of it last frees it, which takes its time where it names many tenants: this thread,
    // and not one that decides.
    defer { withExtendedLifetime(former) {} }
    // First all go over to the new set, which decides by the former rules as yet.
    guard offer(rulebook, to: workers, unless: isAbandoned) else { return nil }
    engine.putInForce(
      rulebook.policies, aheadBy: Self.changeAheadNanoseconds, of: EngineClock.now)
    // Then every turn that began by the former rules comes to its end.
    guard offer(rulebook, to: workers, unless: isAbandoned) else { return nil }
    isInForce(adoption.shortage)
    adoption.count = engine.convert(under: rulebook.policies, at: EngineClock.now())
    return adoption
  }

  /// Makes a tenant's buckets as if never used: its own and those of all keys, or those of one key. Waits
  /// for a change of the rules that is under way. O(slots) without a key; any thread.
  ///
  /// - Parameters:
  ///   - limit: only this one's; none where there is no such limit.
  ///   - isDryRun: whether only to count what that would be.
  /// - Returns: how many buckets had been used.
  package func reset(tenant name: String, limit: String?, key: String?, isDryRun: Bool) -> Int {
    adoption.withLock { _ in
      let policies = rulebook.policies
      let tenant = policies.tenant(named: name)
      var index: LimitIndex?
      if let limit {
        guard let place = policies.limits.firstIndex(where: { $0.name == limit }) else { return 0 }
        index = LimitIndex(UInt16(place))
      }
      let now = EngineClock.now()
      guard var key else {
        return engine.reset(tenant, limit: index, under: policies, at: now, isDryRun: isDryRun)
      }
      let fingerprint = key.withUTF8 { tenant.fingerprint(ofKey: UnsafeRawBufferPointer($0)) }
      return engine.reset(
        keyOf: Query(tenant: tenant, policy: PolicyIndex(0), key: fingerprint), limit: index,
        under: policies, at: now, isDryRun: isDryRun)
    }
  }

  /// How far ahead of the clock rules change, so that every reading at which the former ones are still
  /// used lies before: 10 ms.
  private static let changeAheadNanoseconds: UInt64 = 10_000_000

  /// Hands a rulebook to the workers and waits for all to have taken it. Whether they have.
  private func offer(
    _ rulebook: Rulebook, to workers: [Worker], unless isAbandoned: () -> Bool
  ) -> Bool {
    for worker in workers {
      worker.offeredCount.wrappingAdd(1, ordering: .relaxed)
      worker.offer(rulebook)
    }
    for worker in workers {
      // Acquiring: pairs with the worker's releasing store, after which its turn before is over.
      // Ends because a turn of a worker is bounded.
      while worker.takenCount.load(ordering: .acquiring)
        != worker.offeredCount.load(ordering: .relaxed)
      {
        if isAbandoned() { return false }
        usleep(100)
      }
    }
    return true
  }

  // MARK: Who decides

  /// Registers a thread that decides. It begins with the rules that this returns, and is offered
  /// whatever replaces them.
  package func register(
    _ offer: @escaping @Sendable (Rulebook) -> Void
  ) -> (Worker, Rulebook) {
    state.withLock { state in
      let worker = Worker(offer)
      state.workers.append(worker)
      return (worker, state.rulebook)
    }
  }

  /// Queries decided since the start.
  package var decisionCount: UInt64 {
    state.withLock { $0.workers }.reduce(0) { $0 &+ $1.decisionCount.load(ordering: .relaxed) }
  }

  /// What all workers have counted: the words of each block, by number (`DecisionCounters`).
  /// O(blocks × workers).
  ///
  /// - Parameter isWanted: which blocks to read; all unless given.
  package func counters(
    where isWanted: (CounterRegistry.Block) -> Bool = { _ in true }
  ) -> [(block: CounterRegistry.Block, words: [UInt64])] {
    let workers = state.withLock { $0.workers }
    return counterRegistry.blocks.enumerated().filter { isWanted($0.element) }.map {
      number, block in
      var sums = [UInt64](repeating: 0, count: DecisionCounters.blockWords)
      for worker in workers { worker.counters.add(block: UInt16(number), to: &sums) }
      return (block, sums)
    }
  }

  /// What all workers have counted besides decisions. O(workers).
  package var loopFigures: LoopFigures {
    var figures = LoopFigures()
    for worker in state.withLock({ $0.workers }) { worker.loopCounters.add(to: &figures) }
    return figures
  }

  /// The workers' rings of samples. One thread at a time drains them (`DecisionMonitor`).
  var sampleRings: [SampleRing] { state.withLock { $0.workers.map(\.samples) } }

  // MARK: Upkeep

  /// Frees what is as if never used, if anything was decided since the last time, and once a day in
  /// any case, so that no decision has to after weeks of quiet. Call it every few seconds; O(slots).
  package func keepUp(at now: Instant) {
    let count = decisionCount
    let isDue = state.withLock { state in
      let isDue =
        state.sweptAt != count || now.nanoseconds >= state.sweptTime + Nanoseconds.day.count
      if isDue { (state.sweptAt, state.sweptTime) = (count, now.nanoseconds) }
      return isDue
    }
    if isDue { engine.sweep(at: now) }
  }
}
