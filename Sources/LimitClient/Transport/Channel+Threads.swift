// Threads that ask and wait. One of them leads: it waits for the socket and hands the others their
// answers. Whoever has its answer passes the lead on to the one that has waited longest.

internal import LimitSystem

extension Channel {
  /// Asks, and waits for the answer.
  ///
  /// A question of which nothing was sent when its connection broke is asked once more.
  func ask(_ question: Question, until deadline: Moment) -> Answer {
    guard !isForked else { return .failure(LimitClientError(.forked, Self.forkedText)) }
    guard Moment.now < deadline else {
      return .failure(.timedOut(mayHaveBeenDecided: false))
    }
    lock()
    let waiter = spareWaiters.popLast() ?? ThreadWaiter()
    let answer = ask(question, waiter, until: deadline)
    waiter.word = nil
    spareWaiters.append(waiter)
    leave()
    unlock()
    return answer
  }

  static var forkedText: String { "this process was forked: make a client of its own" }

  private func ask(_ question: Question, _ waiter: ThreadWaiter, until deadline: Moment) -> Answer {
    var mayAskAgain = true
    while true {
      waiter.word = nil
      var sequence: UInt64?
      do throws(LimitClientError) {
        try checkUsable()
        if isReady {
          sequence = try session.ask(question, .thread(waiter))
          flush()
        } else {
          readiness.append(.thread(waiter))
        }
      } catch {
        return .failure(error)
      }
      wait(waiter, until: deadline)
      switch waiter.word {
      case .answer(let answer):
        if mayAskAgain, case .failure(let error) = answer, sequence != nil, error.isSafeToAskAgain {
          mayAskAgain = false
          continue
        }
        return answer
      case .ready, .progress: continue
      case nil: return timedOut(waiter, sequence)
      }
    }
  }

  private func timedOut(_ waiter: ThreadWaiter, _ sequence: UInt64?) -> Answer {
    guard let sequence else {
      forgetReadiness(of: waiter)
      return .failure(.timedOut(mayHaveBeenDecided: false))
    }
    silence.timedOut(at: .now)
    return session.abandon(sequence) ?? .failure(.timedOut(mayHaveBeenDecided: true))
  }

  func forgetReadiness(of waiter: ThreadWaiter) {
    readiness.removeAll { one in
      if case .thread(let thread) = one { return thread === waiter }
      return false
    }
  }

  // MARK: Waiting

  /// Waits until there is a word for `waiter`, or the deadline; leads where nobody else does.
  func wait(_ waiter: ThreadWaiter, until deadline: Moment) {
    while waiter.word == nil, Moment.now < deadline {
      if isLed {
        park(waiter)
        waiter.sleep(mutex, until: deadline)
        unpark(waiter)
      } else {
        lead(for: waiter, until: deadline)
      }
    }
  }

  private func lead(for waiter: ThreadWaiter, until deadline: Moment) {
    isLed = true
    while waiter.word == nil {
      let now = Moment.now
      guard now < deadline else { break }
      let wait = turn(at: now)
      guard waiter.word == nil else { break }
      let until = min(deadline, wait.until)
      unlock()
      var outcome = Reception.wouldBlock
      if let socket = wait.socket {
        if socket.wait(forWriting: wait.forWriting, until: until) {
          outcome = socket.receive(into: leaderBuffer.memory)
        }
      } else {
        Moment.sleep(until: until)
      }
      lock()
      if let socket = wait.socket { take(outcome, leaderBuffer, from: socket) }
    }
    isLed = false
  }

  /// A thread goes: somebody else leads, or looks after what is left.
  func leave() {
    // The permit of one who has gone may have come with the last answer: it goes back now.
    if session.dutyCount > 0 { flush() }
    guard !isLed else { return }
    if let firstParked {
      firstParked.wake()
    } else {
      lookAfter()
    }
  }

  private func park(_ waiter: ThreadWaiter) {
    waiter.isParked = true
    waiter.previous = lastParked
    waiter.next = nil
    if let lastParked { lastParked.next = waiter } else { firstParked = waiter }
    lastParked = waiter
  }

  private func unpark(_ waiter: ThreadWaiter) {
    waiter.isParked = false
    let next = waiter.next
    if let previous = waiter.previous { previous.next = next } else { firstParked = next }
    if let next { next.previous = waiter.previous } else { lastParked = waiter.previous }
    waiter.next = nil
    waiter.previous = nil
  }
}

extension LimitClientError {
  /// Nothing was sent, and another connection may do better.
  var isSafeToAskAgain: Bool { code == .connectionLost && !mayHaveBeenDecided }
}
