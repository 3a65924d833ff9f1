// What a client's loop does for a channel: leads it, of an async client; of a blocking client it
// looks after what no thread waits for. That is an acquire whose caller has gone, since its permit
// must go back; bytes that the socket did not take; and permits, whose loss is told at once. Of either
// it tells the observer.

internal import LimitSystem

extension Channel {
  // MARK: A blocking client

  /// Has the loop look after the connection where that is needed. Nobody leads.
  func lookAfter() {
    guard let loop = loopForCare(), let socket else { return }
    var events: Poller.Events = []
    if session.permitCount > 0 { events.insert(.peerClosed) }
    if session.dutyCount > 0 { events.insert(.input) }
    if isOutputBlocked { events.insert([.input, .output]) }
    watch(socket, events, by: loop)
    if session.dutyCount > 0, let deadline = silence.deadline { schedule(deadline) }
  }

  /// The loop; nil where there is nothing to look after, or no thread to be had. Then the next call
  /// does.
  private func loopForCare() -> IOLoop? {
    guard !isLoopDriven, state == .open else { return nil }
    guard session.permitCount > 0 || session.dutyCount > 0 || isOutputBlocked else { return nil }
    if loop == nil { loop = try? makeLoop?() }
    return loop
  }

  private func watch(_ socket: ClientSocket, _ events: Poller.Events, by loop: IOLoop) {
    if watched == nil {
      // Where the kernel has no room, the next call finds out instead.
      guard (try? loop.watch(socket, events.once, place, epoch: epoch)) != nil else { return }
    } else if watched.map({ !$0.isSuperset(of: events) }) ?? true {
      loop.rewatch(socket, events.once, place, epoch: epoch)
    } else {
      return
    }
    watched = events
  }

  // MARK: Calls of the loop

  /// There is something to receive or to send, or the connection has ended.
  func loopEvent(epoch: UInt64, _ buffer: ReceiveBuffer) {
    lock()
    defer { unlockSharing() }
    guard self.epoch & 0xFFFF_FFFF_FFFF == epoch, socket != nil else { return }
    // What is reported once is watched for no more; an async client's input is reported as long as it lasts.
    if !isLoopDriven || watched?.rawValue != Poller.Events.input.rawValue { watched = [] }
    // Whoever leads sees the same; when it goes, it has this look after the rest.
    if isLed { return }
    receiveByLoop(buffer)
    continueByLoop()
  }

  /// Nobody leads.
  private func receiveByLoop(_ buffer: ReceiveBuffer) {
    guard let socket else { return }
    isLed = true
    var outcome: Reception
    repeat {
      unlock()
      outcome = socket.receive(into: buffer.memory)
      lock()
      take(outcome, buffer, from: socket)
    } while outcome.mayHaveMore && self.socket === socket
    isLed = false
  }

  /// A deadline has come, or there is something to do.
  func loopTurn() {
    lock()
    scheduled = .distantFuture
    isRung = false
    if isLoopDriven || !isLed {
      // What it looks after may have come without a word, where the kernel had no room to watch it.
      if !isLoopDriven { receiveByLoop(leaderBuffer) }
      continueByLoop()
    }
    unlockTelling()
  }

  /// The loop calls no more: whatever is left is told.
  func loopEnded() {
    lock()
    loop = nil
    unlockTelling()
  }

  private func continueByLoop() {
    let now = Moment.now
    if isLoopDriven, now >= nextExpiry { nextExpiry = expire(at: now) }
    if !isLoopDriven { isLed = true }
    let wait = turn(at: now)
    guard isLoopDriven else {
      isLed = false
      return leave()
    }
    schedule(min(nextExpiry, wait.until))
    watch()
  }

  /// Has the loop of an async client watch the connection: for replies, unless a task looks for
  /// them itself, or last did and none is on its way.
  func watch() {
    guard let socket, let loop else { return }
    var events = Poller.Events.input
    if isLed || patience.isKept && session.wire.outstanding == 0 { events = .peerClosed | .oneShot }
    if isOutputBlocked { events = .input | .output }
    if watched == nil {
      guard (try? loop.watch(socket, events, place, epoch: epoch)) != nil else {
        return lose(.unreachable("its socket cannot be watched"))
      }
    } else if watched?.rawValue != events.rawValue {
      loop.rewatch(socket, events, place, epoch: epoch)
    }
    watched = events
  }

  /// Has the loop call, soon.
  func ring() {
    guard !isRung, let loop else { return }
    isRung = true
    loop.ring()
  }

  func schedule(_ moment: Moment) {
    guard moment < scheduled, let loop else { return }
    scheduled = moment
    loop.schedule(place, at: moment)
  }
}

extension Poller.Events {
  /// Report once, then watch no more until asked again.
  fileprivate var once: Poller.Events { self | .oneShot }
}

extension Reception {
  fileprivate var mayHaveMore: Bool {
    if case .bytes(_, mayHaveMore: true) = self { return true }
    return false
  }
}
