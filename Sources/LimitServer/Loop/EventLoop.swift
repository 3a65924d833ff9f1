// One event loop: one thread, its connections, and the path from bytes in to bytes out.
//
//     epoll ─▶ readable: recv into `input` ─▶ Session.receive ─▶ `output` ─▶ one send
//                                                                  └─▶ rest: Connection.unsent
//
// Everything here runs on the loop's own thread; other threads reach it through its `LoopHandle`.
// Connections take turns: one read of at most `readBytes` each, so that a busy one delays the
// others by what that much input takes to decide.

import CLinux
import Glibc
import LimitEngine
import LimitProtocol
import LimitSystem
import Synchronization

/// An event loop. Made and run on its own thread.
struct EventLoop: ~Copyable {
  /// Most bytes that a connection is read at once.
  static let readBytes = 16_384
  /// What the wake-up is called; connections are never called 0.
  private static let wakeUpToken: UInt64 = 0

  /// Times that connections have, in ns.
  struct Deadlines: Sendable {
    var hello: UInt64 = 1_000_000_000
    var frame: UInt64 = 2_000_000_000
    var stall: UInt64 = 5_000_000_000
    /// From a stop to the end, whatever peers do.
    var drain: UInt64 = 1_500_000_000
  }

  let handle: LoopHandle
  let census: Census
  let deadlines: Deadlines
  /// How long to poll before going to sleep, in ns; 0 sleeps at once.
  let spin: UInt64
  let poller: Poller
  var work: Workplace
  var group = QueryGroup()
  var connections = ConnectionTable()
  /// How many connections have a deadline.
  var waitCount = 0
  /// When the deadlines were last looked at, in ns.
  var lookedAt: UInt64 = 0
  /// Set by a stop: when to end at the latest.
  var drainDeadline: UInt64?
  /// A connection's unserved bytes, then what was read behind them.
  let input: UnsafeMutableRawBufferPointer
  let output: UnsafeMutableRawBufferPointer

  init(
    _ handle: LoopHandle, census: Census, deadlines: Deadlines, spin: UInt64, queueBytes: Int,
    work: consuming Workplace
  ) throws(SystemError) {
    let poller = try Poller()
    try poller.add(handle.wakeUp.descriptor, .input, token: Self.wakeUpToken)
    self.poller = poller
    self.handle = handle
    self.census = census
    self.deadlines = deadlines
    self.spin = spin
    // The beginning of a frame, and what one read brings behind it. Where that has to wait for
    // `unsent`, nothing more is read until it is served.
    input = .allocate(byteCount: work.limits.frameBytes + Self.readBytes, alignment: 64)
    output = .allocate(
      byteCount: max(queueBytes, work.limits.outputBytesMin), alignment: 64)
    self.work = work
  }

  deinit {
    input.deallocate()
    output.deallocate()
  }

  /// Serves until it is told to stop and every connection is closed.
  mutating func run() {
    handle.generation.store(work.rulebook.generation, ordering: .releasing)
    while drainDeadline == nil || connections.count > 0 {
      let count = sleep()
      for place in 0..<count {
        let (token, events) = poller.event(place)
        if token == Self.wakeUpToken {
          handle.wakeUp.answer()
        } else {
          serve(token, events)
        }
      }
      // Relaxed: see the counter.
      handle.decisionCount.store(group.decisionCount, ordering: .relaxed)
      // Between turns no session is at work: here the rules may change.
      for message in handle.take() { open(message) }
      if waitCount > 0 || drainDeadline != nil { endOverdueWaits() }
    }
  }

  /// Waits for events: at once where there are some, or after polling for `spin`.
  private mutating func sleep() -> Int {
    if spin > 0 {
      let start = Clock.bootNanoseconds()
      repeat {
        let count = poller.wait(milliseconds: 0)
        if count > 0 { return count }
      } while Clock.bootNanoseconds() < start + spin
    }
    return poller.wait(
      milliseconds: waitCount > 0 || drainDeadline != nil ? Self.lookMilliseconds : -1)
  }

  private mutating func open(_ message: LoopHandle.Message) {
    switch message {
    case .connection(let descriptor, let peer): admit(descriptor, peer)
    case .rulebook(let rulebook):
      work.adopt(rulebook)
      // Releasing: pairs with the acquiring load of whoever waits for the change.
      handle.generation.store(rulebook.generation, ordering: .releasing)
    case .stop: drain()
    }
  }

  private mutating func admit(_ number: Int32, _ peer: Peer) {
    guard let socket = try? Descriptor(number) else { return }
    let token = connections.insert(Connection(socket, Session(peer: peer, in: work)))
    guard (try? poller.add(number, .input, token: token)) != nil else { return end(token) }
    guard let connection = connections[token] else { return }
    begin(.hello, connection, at: Instant.now())
    if drainDeadline != nil { drain(connection) }
  }

  // MARK: One connection's turn

  private mutating func serve(_ token: UInt64, _ events: Poller.Events) {
    guard let connection = connections[token] else { return }
    if !connection.pointee.unsent.isEmpty {
      guard sendUnsent(connection) else { return end(token) }
      if !connection.pointee.unsent.isEmpty {
        // The peer is gone for good: it will not read what waits for it.
        if events.contains(.error) || events.contains(.hangUp) { end(token) }
        return
      }
      // Its requests have waited for this.
      begin(.nothing, connection, at: Instant.now())
      guard respond(to: connection, count: stage(connection)) else { return end(token) }
    } else {
      guard read(connection) else { return end(token) }
    }
    settle(connection, token)
  }

  /// Reads once, and answers what came.
  ///
  /// - Returns: whether the connection is still of use.
  @inline(__always) private mutating func read(_ connection: UnsafeMutablePointer<Connection>)
    -> Bool
  {
    let staged = stage(connection)
    let room = UnsafeMutableRawBufferPointer(
      rebasing: input[staged..<min(input.count, staged + Self.readBytes)])
    switch connection.pointee.socket.receive(into: room) {
    case .wouldBlock: return true
    case .bytes(let count): return respond(to: connection, count: staged + count)
    case .ended:
      // What came before the end has been answered; the beginning of a frame never will be.
      connection.pointee.isEnding = true
      if drainDeadline != nil { say(.shuttingDown, to: connection) }
      return true
    }
  }

  /// Copies what is unserved to the front of `input`.
  private func stage(_ connection: UnsafeMutablePointer<Connection>) -> Int {
    let count = connection.pointee.unserved.count
    if count > 0 { input.copyMemory(from: connection.pointee.unserved.bytes) }
    return count
  }

  /// Serves the first `count` bytes of `input`, sends the replies, and keeps what is left.
  ///
  /// - Returns: whether the connection is still of use.
  @inline(__always) private mutating func respond(
    to connection: UnsafeMutablePointer<Connection>, count: Int
  ) -> Bool {
    let now = Instant.now()
    var consumed = 0
    var pause = Session.Pause.output
    while pause == .output, connection.pointee.unsent.isEmpty {
      var writer = WireWriter(output)
      let progress = connection.pointee.session.receive(
        UnsafeRawBufferPointer(rebasing: input[consumed..<count]), at: now, into: &writer,
        gathering: &group, in: work)
      consumed += progress.consumed
      pause = progress.pause
      guard send(writer.bytes, to: connection, at: now) else { return false }
    }
    if pause == .close { connection.pointee.isEnding = true }
    keep(consumed..<count, of: connection, isServedLater: pause == .output, at: now)
    return true
  }

  /// Keeps input that is not served yet, and sees to its deadline.
  @inline(__always) private mutating func keep(
    _ rest: Range<Int>, of connection: UnsafeMutablePointer<Connection>, isServedLater: Bool,
    at now: Instant
  ) {
    if rest.isEmpty || connection.pointee.isEnding {
      if !connection.pointee.unserved.isEmpty { connection.pointee.unserved.removeAll() }
      let wait = connection.pointee.wait
      if wait == .frame || wait == .hello { begin(.nothing, connection, at: now) }
    } else {
      connection.pointee.unserved.replace(with: UnsafeRawBufferPointer(rebasing: input[rest]))
      // A frame that goes on keeps the deadline that it began with; one that is whole already
      // waits for its peer to read, which has a deadline of its own.
      let isNew = rest.lowerBound > 0 || connection.pointee.wait != .frame
      if isNew, !isServedLater, connection.pointee.wait != .stall {
        begin(.frame, connection, at: now)
      }
    }
  }
}
