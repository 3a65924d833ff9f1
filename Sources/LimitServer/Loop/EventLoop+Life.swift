// Connections come, have had their time, and go; then the loop ends.

import Glibc
import LimitEngine
import LimitProtocol
import LimitRuntime
import LimitSystem
import Synchronization

/// What event loops are made with besides what is in force.
struct LoopSettings: Sendable {
  var session: SessionLimits
  var deadlines: Deadlines
  /// How long to poll before going to sleep, in ns.
  var spin: UInt64
  /// Bytes of replies that are made ready at once.
  var queueBytes: Int
  /// Shown in the reply to hello.
  var daemonVersion: String
}

extension EventLoop {
  /// How often deadlines are looked at while there are any.
  static var lookMilliseconds: Int32 { 50 }

  mutating func open(_ message: LoopHandle.Message) {
    switch message {
    case .connection(let descriptor, let peer, let account): admit(descriptor, peer, account)
    case .rulebook(let rulebook):
      turn.adopt(rulebook)
      // Releasing: pairs with the acquiring load of whoever waits for the turn before to be over.
      worker.takenCount.wrappingAdd(1, ordering: .releasing)
    case .stop: drain()
    }
  }

  private mutating func admit(_ number: Int32, _ peer: Peer, _ account: UserAccount) {
    guard let socket = try? Descriptor(number) else { return }
    let state = ConnectionState(at: Clock.bootNanoseconds(), deadlines)
    let token = connections.insert(Connection(socket, Session(peer, account, turn), state))
    let place = ConnectionTable.place(of: token)
    turns.join(place, of: account.userID)
    waitCount += 1
    guard (try? poller.add(number, Connection.reading, token: token)) != nil else {
      return end(token)
    }
    if drainDeadline != nil { drain(at: place) }
  }

  /// Ends the connections that have had their time. Looks at most every `lookMilliseconds`.
  mutating func endOverdueWaits() {
    let now = Clock.bootNanoseconds()
    guard now >= lookedAt + UInt64(Self.lookMilliseconds) * 1_000_000 else { return }
    lookedAt = now
    let isOver = drainDeadline.map { now >= $0 } ?? false
    for token in connections.tokens {
      guard let connection = connections[token],
        isOver || connection.pointee.state.isOverdue(at: now)
      else { continue }
      say(isOver ? .shuttingDown : .timeout, connection)
      end(token)
    }
  }

  /// Sends an error that answers no request, if there is room for it; the end follows.
  mutating func say(_ code: ErrorCode, _ connection: UnsafeMutablePointer<Connection>) {
    turn.loopCounters.countRefusal(code.rawValue)
    connection.pointee.say(code, code.name, through: output)
  }

  /// Closes a connection; its permits return at once.
  mutating func end(_ token: UInt64) {
    guard let connection = connections[token] else { return }
    connection.pointee.session.end(turn)
    connection.pointee.noteWaiting(turn.loopCounters, isEnd: true)
    if connection.pointee.state.wait != .nothing { waitCount -= 1 }
    let account = connection.pointee.session.account
    turns.leave(ConnectionTable.place(of: token))
    connections.remove(token)
    quota.leave(account)
    // Relaxed: see the counter.
    handle.connectionCount.subtract(1, ordering: .relaxed)
  }

  // MARK: The end of the loop

  /// Stops listening to the peers. What they have sent is read and answered; then each connection
  /// reads an end, and closes.
  private mutating func drain() {
    guard drainDeadline == nil else { return }
    drainDeadline = Clock.bootNanoseconds() + deadlines.drain
    for token in connections.tokens { drain(at: ConnectionTable.place(of: token)) }
  }

  /// What has arrived stays readable; what the peer sends from now on fails there (EPIPE), so that
  /// it knows what was not received. The poller reports the end.
  private func drain(at place: Int) {
    shutdown(connections.connection(at: place).pointee.socket.number, Int32(SHUT_RD))
  }
}
