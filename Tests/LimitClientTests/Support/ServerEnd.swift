// The daemon's side of a connection, without a socket: what the real session answers to bytes.

import LimitEngine
import LimitPolicy
import LimitProtocol
import LimitRuntime

@testable import LimitServer

/// An engine with two rulebooks that take turns, as a reload does. One thread uses it.
final class ServerWorld {
  /// Two handles, so that they are reused all the time.
  static let handles = 2
  static let tenants = ["ann", "bob", "cyn", "dan"]
  /// Nobody knows it.
  static let ghost = "ghost"
  /// Admits everything, and counts it.
  static let counting = "counting"
  /// Holds permits, and counts nothing else.
  static let holding = "holding"
  static let permitsMax: UInt64 = 1_000_000

  fileprivate var turn: Turn
  private let quota = PeerQuota(PeerBounds(DaemonSettings().limits))
  /// Replies are written here.
  fileprivate let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 8)
  private let books: [Rulebook]
  private var book = 0
  private var now: UInt64 = 1_000_000_000

  init() throws {
    let hashKey = HashKey(low: 1, high: 2)
    books = try ["first", "second"].map { name in
      let file = try PolicyFile.parse(
        """
        limits:
          \(name)-count: {algorithm: sliding-window, limit: 17G, window: 31d, scope: tenant}
          held: {algorithm: concurrency, limit: 1M, scope: tenant}
        policies:
          counting: [\(name)-count]
          holding: [held]
        tenants:
          ann: {}
          bob: {}
          cyn: {}
          dan: {}
        """, path: "policy.yaml")
      return try Rulebook(file, hashKey: hashKey)
    }
    var limits = SessionLimits(DaemonSettings().limits, isClockSettable: false)
    limits.handles = Self.handles
    limits.batchItems = 8
    turn = Turn(
      Engine(Engine.Configuration()), books[0], limits, daemonVersion: "test",
      output: WireWriter(room))
  }

  deinit { room.deallocate() }

  /// The other rulebook: the same policies, with a limit of another name.
  func reload() {
    book = 1 - book
    turn.adopt(books[book])
  }

  fileprivate func beginTurn() {
    now += 1000
    turn.now = Instant(nanoseconds: now)
    turn.output = WireWriter(room)
    turn.unitsLeft = .max
  }

  fileprivate func account() throws -> UserAccount { try quota.enter(0) }
  fileprivate func leave(_ account: UserAccount) { quota.leave(account) }
}

/// One session of a world.
final class ServerEnd {
  private let world: ServerWorld
  private var session: Session
  private var unserved: [UInt8] = []
  private(set) var isClosed = false

  init(_ world: ServerWorld) throws {
    self.world = world
    session = Session(
      Peer(processID: 1, userID: 0, groupIDs: [0]), try world.account(), world.turn)
  }

  deinit {
    session.end(world.turn)
    world.leave(session.account)
  }

  /// Serves bytes, and returns the replies.
  func receive(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    guard !isClosed else { return [] }
    unserved.append(contentsOf: bytes)
    var replies: [UInt8] = []
    while true {
      world.beginTurn()
      let progress = unserved.withUnsafeBytes { session.receive($0, &world.turn) }
      replies.append(contentsOf: world.turn.output.bytes)
      unserved.removeFirst(progress.consumed)
      if progress.pause == .close { isClosed = true }
      if progress.pause != .output { return replies }
    }
  }
}
