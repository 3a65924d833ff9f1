// What a session works with while it has its turn: one value, passed down the whole path of a query.

import LimitEngine
import LimitProtocol
import LimitRuntime

/// One per event loop; one thread uses it.
///
/// Its parts are stored, not shared: the query path reads them without counting references.
struct Turn: ~Copyable {
  let engine: Engine
  /// Replaced by the loop between two turns.
  private(set) var rulebook: Rulebook
  /// The rulebook's, a step nearer to the query path.
  private(set) var policies: PolicySet
  /// Another number wherever a name may mean something else than before, or be counted elsewhere: sessions
  /// and bindings compare theirs with it. Never 0.
  private(set) var generation: UInt32 = 1
  let limits: SessionLimits
  /// Shown in the reply to hello.
  let daemonVersion: String
  /// Where decisions are counted, and in which block each.
  let counters: CounterWriter
  private let counterMemory: DecisionCounters
  var counterIndex: CounterIndex
  /// Where everything else is counted.
  let loopCounters: LoopCounterWriter
  private let loopCounterMemory: LoopCounters
  /// Which decisions are shown to whoever monitors.
  var samples: SampleWriter
  /// Queries that wait to be decided together.
  var group = QueryGroup()
  /// Where replies go. Each turn begins with all of it.
  var output: WireWriter
  /// Read after the input of this turn arrived.
  var now = Instant(nanoseconds: 0)
  /// What this turn may still cost: a limit looked at is 1. Below 1 the session pauses.
  var unitsLeft = Int.max

  /// Units of a request that allocates or looks up names.
  static var slowRequestUnits: Int { 32 }

  init(
    _ engine: Engine, _ rulebook: Rulebook, _ limits: SessionLimits, daemonVersion: String,
    output: WireWriter, counters: DecisionCounters = DecisionCounters(),
    registry: CounterRegistry = CounterRegistry(), samples: SampleRing = SampleRing(),
    loopCounters: LoopCounters = LoopCounters()
  ) {
    self.engine = engine
    counterMemory = counters
    self.counters = counters.writer
    loopCounterMemory = loopCounters
    self.loopCounters = loopCounters.writer
    counterIndex = CounterIndex(registry, rulebook)
    self.samples = SampleWriter(samples)
    self.rulebook = rulebook
    policies = rulebook.policies
    self.limits = limits
    self.daemonVersion = daemonVersion
    self.output = output
  }

  mutating func adopt(_ rulebook: Rulebook) {
    guard rulebook !== self.rulebook else { return }
    self.rulebook = rulebook
    policies = rulebook.policies
    counterIndex.adopt(rulebook)
    beginGeneration()
  }

  /// Counts the queries to come in the blocks that tenants were given since the last time.
  @inline(never) mutating func learnBlocks() {
    if counterIndex.learn() { beginGeneration() }
  }

  /// A binding that is not used while the number comes round, 2^32 changes on, would be taken for current.
  private mutating func beginGeneration() {
    generation &+= 1
    if generation == 0 { generation = 1 }
  }
}
