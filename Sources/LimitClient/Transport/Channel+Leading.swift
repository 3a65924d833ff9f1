// What whoever leads a channel does: connect, send, take what comes, and notice what is over.

internal import Glibc
internal import LimitSystem

extension Channel {
  /// What a leader waits for.
  struct Wait {
    var socket: ClientSocket?
    var forWriting = false
    /// Call again by then.
    var until = Moment.distantFuture
  }

  /// Does what can be done without waiting: connects, sends, notices what is over.
  func turn(at now: Moment) -> Wait {
    while true {
      switch state {
      case .idle:
        guard !readiness.isEmpty, begin(at: now) else { return Wait() }
      case .connecting:
        guard connect(at: now) else {
          return state == .connecting ? Wait(until: min(retryAt, attemptDeadline)) : Wait()
        }
      case .open:
        flush()
        guard let error = reasonToEnd(at: now) else { return waitForSocket(now) }
        lose(error)
      }
    }
  }

  private func waitForSocket(_ now: Moment) -> Wait {
    var until = session.hello == nil ? attemptDeadline : .distantFuture
    if let deadline = silence.deadline { until = min(until, deadline) }
    return Wait(socket: socket, forWriting: isOutputBlocked, until: until)
  }

  /// Nobody may have received for long, so what lies in the socket is heard before its peer counts as silent.
  private func reasonToEnd(at now: Moment) -> LimitClientError? {
    if session.hello == nil, now >= attemptDeadline, !hasInput {
      return .unreachable("no answer to hello in time")
    }
    // One that took not even the hello has said why, or ends: its last words are still to be read.
    if session.isClosing, session.wire.outstanding == 0, session.hello != nil {
      return .connectionLost(mayHaveBeenDecided: false)
    }
    if let deadline = silence.deadline, now >= deadline, !hasInput {
      return .timedOut(mayHaveBeenDecided: true)
    }
    return nil
  }

  /// Whether there is something to receive, or an end to notice.
  private var hasInput: Bool { socket?.wait(forWriting: false, until: .distantPast) ?? false }

  /// - Returns: whether an attempt to connect begins; else whoever waits was told why not.
  private func begin(at now: Moment) -> Bool {
    do throws(LimitClientError) {
      if isShut { throw .closed }
      try backOff.check(at: now)
    } catch {
      failReadiness(error)
      return false
    }
    attemptDeadline = now.advanced(by: configuration.connectTimeout)
    state = .connecting
    return true
  }

  /// - Returns: whether there is a socket now.
  private func connect(at now: Moment) -> Bool {
    do throws(LimitClientError) {
      switch try ClientSocket.connect(to: configuration.socketPath) {
      case .connected(let socket):
        epoch += 1
        self.socket = socket
        session = ClientSession(clientName: configuration.clientNameCut, connection: epoch)
        (isOutputBlocked, isProven) = (false, false)
        silence.heard()
        state = .open
        return true
      case .queueIsFull:
        guard now < attemptDeadline else {
          throw .unreachable("its queue of connections is full", systemError: EAGAIN)
        }
        retryAt = now.advanced(by: .milliseconds(2))
      }
    } catch {
      state = .idle
      attemptFailed(error)
    }
    return false
  }

  private func attemptFailed(_ error: LimitClientError) {
    // Whoever fails by it has sent nothing.
    let error = error.with(mayHaveBeenDecided: false)
    backOff.failed(error, at: .now)
    tellAway(error)
    failReadiness(error)
  }

  private func tellAway(_ error: LimitClientError) {
    guard !isAwayTold, !isShut else { return }
    isAwayTold = true
    note(.away(error))
  }

  func failReadiness(_ error: LimitClientError) {
    let waiters = readiness
    readiness = []
    for waiter in waiters { tell(waiter, .answer(.failure(error))) }
  }

  /// Gives the connection up; its waiters get what there is, or the error.
  func lose(_ error: LimitClientError) {
    guard let socket else { return }
    // Others may still hold the socket; for the daemon, and for whoever waits on it, it ends now.
    socket.shutDown()
    if let loop, watched != nil { loop.unwatch(socket) }
    watched = nil
    self.socket = nil
    state = .idle
    if !isSending { outgoing.consume(outgoing.count) }
    let wasGreeted = session.hello != nil
    session.end(error, answer)
    tellBatches()
    if wasGreeted, isProven { tellAway(error) } else { attemptFailed(error) }
    if session.permitCount > 0 { note(.lost(session.permitCount)) }
  }

  /// Takes what a leader received on `socket`.
  func take(_ outcome: Reception, _ buffer: ReceiveBuffer, from socket: ClientSocket) {
    guard self.socket === socket else { return }
    switch outcome {
    case .wouldBlock: return
    case .ended: lose(.connectionLost(mayHaveBeenDecided: true))
    case .bytes(let count, _):
      silence.heard()
      let wasReady = session.isReady
      let outstanding = session.wire.outstanding
      do throws(LimitClientError) {
        try session.receive(
          UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer.memory)[..<count]), answer)
      } catch {
        return lose(error)
      }
      tellBatches()
      if !wasReady, session.isReady {
        greeted()
      } else if !isProven, session.wire.outstanding < outstanding {
        isProven = true
        backOff.succeeded()
      }
    }
  }

  private func greeted() {
    if isAwayTold {
      isAwayTold = false
      note(.back)
    }
    let waiters = readiness
    readiness = []
    for waiter in waiters { tell(waiter, .ready) }
  }
}
