// A client and a session of the server joined in memory: bytes in, bytes out, no socket, no clock of
// its own. For tests, and for the fuzzer of the session.

import LimitEngine
import LimitPolicy
import LimitProtocol
import LimitRuntime

@testable import LimitServer

/// What a peer's session lives in.
struct MemoryServer {
  let engine: Engine
  var rulebook: Rulebook
  var limits = SessionLimits(DaemonSettings.Limits(), isClockSettable: false)
  /// Bytes of replies that are made ready at once.
  var queueBytes = 1 << 17
  var bounds = PeerBounds(DaemonSettings.Limits())

  static let hashKey = HashKey(low: 1, high: 2)

  /// - Parameter policy: the text of a policy file.
  init(_ policy: String, keySlots: Int = 4096, tenantsMax: Int = 64) throws {
    var configuration = Engine.Configuration()
    configuration.keySlots = keySlots
    configuration.tenantSlots = 1024
    configuration.tenantsMax = tenantsMax
    engine = Engine(configuration)
    rulebook = try Self.rulebook(policy)
  }

  static func rulebook(_ policy: String) throws -> Rulebook {
    try Rulebook(PolicyFile.parse(policy, path: "test.yaml"), hashKey: hashKey)
  }
}

/// One connection's session, given its turns as an event loop would. One thread uses it.
struct MemoryPeer: ~Copyable {
  private var turn: Turn
  private var session: Session
  private let memory: UnsafeMutableRawBufferPointer
  private var unserved: [UInt8] = []
  /// What the session has said so far.
  private(set) var replies: [UInt8] = []
  /// Nothing more is served.
  private(set) var isClosed = false
  /// What one turn may cost.
  var unitsPerTurn = Int.max

  /// - Parameter worker: who counts and samples, with whom it shares the registry; one of its own unless given.
  init(
    _ server: MemoryServer, user: UInt32 = 4001,
    worker: (counters: DecisionCounters, samples: SampleRing, registry: CounterRegistry)? = nil
  ) throws {
    let worker = worker ?? (DecisionCounters(), SampleRing(), CounterRegistry())
    memory = .allocate(
      byteCount: max(server.queueBytes, Session.outputBytesMin), alignment: 64)
    turn = Turn(
      server.engine, server.rulebook, server.limits, daemonVersion: "test",
      output: WireWriter(memory), counters: worker.counters, registry: worker.registry,
      samples: worker.samples)
    let quota = PeerQuota(server.bounds) { _ in false }
    session = Session(
      Peer(processID: 1, userID: user, groupIDs: [user]), try quota.enter(user), turn)
  }

  deinit { memory.deallocate() }

  /// Puts other rules in force, between two turns.
  mutating func adopt(_ rulebook: Rulebook) { turn.adopt(rulebook) }

  /// Serves as much of `input` as one turn does.
  ///
  /// - Returns: how many bytes that were, and why it paused. The replies are in `output`.
  mutating func serve(_ input: UnsafeRawBufferPointer, at now: Instant) -> Session.Progress {
    turn.now = now
    turn.unitsLeft = unitsPerTurn
    turn.output.removeAll()
    return session.receive(input, &turn)
  }

  /// The replies of the last turn.
  var output: UnsafeRawBufferPointer { turn.output.bytes }

  /// Sends bytes, and takes what comes back, in as many turns as it takes.
  mutating func send(_ bytes: some Sequence<UInt8>, at now: Instant) {
    unserved += bytes
    while !isClosed {
      var consumed = 0
      var pause = Session.Pause.input
      unserved.withUnsafeBytes { input in
        let progress = serve(input, at: now)
        (consumed, pause) = (progress.consumed, progress.pause)
      }
      unserved.removeFirst(consumed)
      replies += output
      switch pause {
      case .input: return
      case .close: isClosed = true
      case .output, .units: break
      }
    }
  }

  /// The replies so far, which are forgotten.
  mutating func takeReplies() -> [UInt8] {
    defer { replies = [] }
    return replies
  }

  /// The connection closes.
  mutating func end() {
    isClosed = true
    session.end(turn)
  }
}
