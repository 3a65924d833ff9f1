// One event loop: one thread, its connections, and the path from bytes in to bytes out.
//
//     epoll ─▶ TurnQueue ─▶ a turn: recv into `input` ─▶ Session.receive ─▶ output ─▶ one send
//                                                               └─▶ rest: Connection.unsent
//
// Everything here runs on the loop's own thread; other threads reach it through its `LoopHandle`.
// A turn costs at most `turnUnits`, so that a busy connection delays its user's others by that much.
// Users take turns before connections do (TurnQueue), and a turn ends sooner where another user has
// come: whether one has is looked at every `pollUnits.shared`.

import Glibc
import LimitEngine
import LimitProtocol
import LimitRuntime
import LimitSystem
import Synchronization

/// An event loop. Made before its thread, run on it.
struct EventLoop: ~Copyable {
  /// What the wake-up is called; connections are never called 0.
  static let wakeUpToken: UInt64 = 0
  /// Most bytes that a connection is read at once.
  static let readBytes = 16_384
  /// What one turn may cost, in limits looked at: some 80 µs in batches.
  private static let turnUnits = 1024
  /// What a turn costs besides, in the same unit: its system calls.
  private static let turnOverheadUnits = 16
  /// What may be spent before the poller is asked again, likewise: until then nobody is noticed who
  /// comes. While several users have connections it is asked amid a turn, too.
  private static let pollUnits = (alone: 256, shared: 64)

  let handle: LoopHandle
  let worker: Worker
  let quota: PeerQuota
  let deadlines: Deadlines
  /// How long to poll before going to sleep, in ns; 0 sleeps at once.
  let spin: UInt64
  let poller: Poller
  var turn: Turn
  /// Which turns are timed.
  var timer = TurnTimer()
  var turns = TurnQueue()
  /// What the turn under way may cost beyond its `unitsLeft`, where no other user comes.
  private var unitsInReserve = 0
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
    _ runtime: Runtime, _ handle: LoopHandle, quota: PeerQuota, _ settings: LoopSettings
  ) throws(SystemError) {
    let poller = try Poller()
    try poller.add(handle.wakeUp.descriptor, .input, token: Self.wakeUpToken)
    self.poller = poller
    self.handle = handle
    self.quota = quota
    deadlines = settings.deadlines
    spin = settings.spin
    // The beginning of a frame, and what one read brings behind it. Frames that wait for their turn
    // are served before anything more is read.
    input = .allocate(byteCount: settings.session.frameBytes + Self.readBytes, alignment: 64)
    output = .allocate(
      byteCount: max(settings.queueBytes, Session.outputBytesMin), alignment: 64)
    let (worker, rulebook) = runtime.register { handle.send(.rulebook($0)) }
    self.worker = worker
    turn = Turn(
      runtime.engine, rulebook, settings.session, daemonVersion: settings.daemonVersion,
      output: WireWriter(output), counters: worker.counters, registry: runtime.counterRegistry,
      samples: worker.samples, loopCounters: worker.loopCounters)
  }

  deinit {
    input.deallocate()
    output.deallocate()
  }

  /// Serves until it is told to stop and every connection is closed.
  mutating func run() {
    while drainDeadline == nil || connections.count > 0 {
      note(eventCount: turns.isEmpty ? sleep() : poller.wait(milliseconds: 0))
      takeTurns()
      // Relaxed: see the counter.
      worker.decisionCount.store(turn.group.decisionCount, ordering: .relaxed)
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

  /// Queues the connections that the poller reports.
  @inline(__always) private mutating func note(eventCount: Int) {
    for number in 0..<eventCount {
      let (token, events) = poller.event(number)
      if token == Self.wakeUpToken {
        handle.wakeUp.answer()
        handle.answer()
      } else if let connection = connections[token],
        connection.pointee.state.reported(events)
      {
        turns.add(ConnectionTable.place(of: token))
      }
    }
  }

  /// Gives turns until there is nothing to do, or the poller is to be asked again.
  @inline(__always) private mutating func takeTurns() {
    let isShared = turns.userCount > 1
    var unitsLeft = isShared ? Self.pollUnits.shared : Self.pollUnits.alone
    while unitsLeft > 0, let place = turns.next() {
      turn.unitsLeft = isShared ? Self.pollUnits.shared : Self.turnUnits
      unitsInReserve = Self.turnUnits &- turn.unitsLeft
      takeTurn(connections.connection(at: place), connections.token(at: place))
      unitsLeft &-=
        Self.turnUnits &- unitsInReserve &- turn.unitsLeft &+ Self.turnOverheadUnits
    }
  }

  /// Looks who has come, amid a turn of that user's that has spent its units.
  ///
  /// - Returns: whether the turn goes on, since no other user has anything to do.
  @inline(never) private mutating func goesOn(_ userID: UInt32) -> Bool {
    guard unitsInReserve > 0 else { return false }
    note(eventCount: poller.wait(milliseconds: 0))
    guard !turns.hasOthers(than: userID) else { return false }
    unitsInReserve &-= Self.pollUnits.shared
    turn.unitsLeft &+= Self.pollUnits.shared
    return true
  }

  // MARK: One connection's turn

  /// Sends what is unsent; then serves the frames that wait, or else reads once and serves what
  /// came.
  @inline(__always) private mutating func takeTurn(
    _ connection: UnsafeMutablePointer<Connection>, _ token: UInt64
  ) {
    if connection.pointee.state.isBlocked || connection.pointee.state.hasFrames {
      turn.now = .now()
    }
    var outcome = ConnectionState.Outcome()
    let decidedBefore = turn.group.decisionCount
    let isWaiting = connection.pointee.state.wait != .nothing
    if connection.pointee.state.isBlocked {
      guard let sent = connection.pointee.send(.init(start: nil, count: 0)) else {
        return end(token)
      }
      (outcome.hasSent, outcome.isSent) = sent
    }
    if outcome.isSent {
      guard serve(connection, &outcome) else { return end(token) }
    } else if connection.pointee.state.hasFrames {
      outcome.input = .frames
    }
    outcome.isGreeted = connection.pointee.session.phase == .ready
    let action = connection.pointee.state.finish(
      outcome, at: turn.now.nanoseconds, deadlines)
    let waits = connection.pointee.state.wait != .nothing
    if waits != isWaiting { waitCount += waits ? 1 : -1 }
    connection.pointee.noteWaiting(turn.loopCounters)
    let decided = turn.group.decisionCount &- decidedBefore
    if decided > 0, timer.isDue() { time(decided) }
    obey(action, connection, token)
  }

  /// Counts how long this turn's queries took, from when they were read until their replies were sent.
  @inline(never) private func time(_ count: UInt64) {
    let (start, end) = (turn.now.nanoseconds, Instant.now().nanoseconds)
    turn.loopCounters.countDurations(count, end > start ? end - start : 0)
  }

  /// Reads, where no frames wait, and answers.
  ///
  /// - Returns: whether the connection is still of use.
  @inline(__always) private mutating func serve(
    _ connection: UnsafeMutablePointer<Connection>, _ outcome: inout ConnectionState.Outcome
  ) -> Bool {
    var count = connection.pointee.unserved.count
    if count > 0 { input.copyMemory(from: connection.pointee.unserved.bytes) }
    if !connection.pointee.state.hasFrames, connection.pointee.state.isReadable {
      let room = UnsafeMutableRawBufferPointer(
        rebasing: input[count..<min(input.count, count + Self.readBytes)])
      let received = connection.pointee.socket.receive(
        into: room, mayCarryDescriptors: connection.pointee.mayCarryDescriptors)
      // After the input arrived, so that no charge is made in its past.
      turn.now = .now()
      switch received {
      case .bytes(let read, let mayHaveMore):
        if !mayHaveMore { connection.pointee.state.hasReadShort() }
        count &+= read
      case .wouldBlock: connection.pointee.state.isDrained()
      case .ended:
        // What came before the end has been answered; the beginning of a frame never will be.
        connection.pointee.state.ends()
        if drainDeadline != nil { say(.shuttingDown, connection) }
        return true
      }
    }
    return answer(connection, count: count, &outcome)
  }

  /// Serves the first `count` bytes of `input`, sends the replies, and keeps what is left.
  ///
  /// - Returns: whether the connection is still of use.
  @inline(__always) private mutating func answer(
    _ connection: UnsafeMutablePointer<Connection>, count: Int,
    _ outcome: inout ConnectionState.Outcome
  ) -> Bool {
    guard count > 0 else { return true }
    var consumed = 0
    var pause = Session.Pause.output
    while pause == .output, outcome.isSent {
      turn.output.removeAll()
      repeat {
        let progress = connection.pointee.session.receive(
          UnsafeRawBufferPointer(rebasing: input[consumed..<count]), &turn)
        consumed &+= progress.consumed
        pause = progress.pause
      } while pause == .units && consumed < count
        && goesOn(connection.pointee.session.account.userID)
      guard let sent = connection.pointee.send(turn.output.bytes) else { return false }
      outcome.isSent = sent.isSent
      outcome.hasSent = outcome.hasSent || sent.hasSent
    }
    switch pause {
    case .close:
      connection.pointee.state.ends()
      consumed = count
    case .input where consumed < count: outcome.input = .partOfFrame(isNew: consumed > 0)
    case .input: break
    case .output, .units: if consumed < count { outcome.input = .frames }
    }
    return keep(consumed..<count, connection)
  }

  /// Keeps input that is not served yet.
  ///
  /// - Returns: whether the user has the memory.
  @inline(__always) private mutating func keep(
    _ rest: Range<Int>, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    if rest.isEmpty && connection.pointee.unserved.isEmpty { return true }
    return connection.pointee.unserved.replace(
      with: UnsafeRawBufferPointer(rebasing: input[rest]), connection.pointee.session.account)
  }

  @inline(__always) private mutating func obey(
    _ action: ConnectionState.Action, _ connection: UnsafeMutablePointer<Connection>,
    _ token: UInt64
  ) {
    switch action {
    case .close: return end(token)
    case .queue: turns.add(ConnectionTable.place(of: token))
    case .rest, .awaitRoom: break
    }
    let needsRoom = action == .awaitRoom
    guard connection.pointee.isWatchedForRoom != needsRoom else { return }
    connection.pointee.isWatchedForRoom = needsRoom
    // Reports at once what holds already, so that no change in between is missed.
    poller.change(
      connection.pointee.socket.number, needsRoom ? Connection.writing : Connection.reading,
      token: token)
  }
}
