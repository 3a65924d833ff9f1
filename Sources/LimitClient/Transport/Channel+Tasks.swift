// Tasks that wait. The loop leads; a task that asks alone sends by itself, others leave it
// to the loop, which sends what has gathered in one piece.

extension Channel {
  /// Asks. The answer resumes the task.
  func ask(_ question: Question, _ task: TaskWaiter) {
    guard !isForked else { return tellForked(task) }
    lock()
    defer { unlock() }
    guard !endsEarly(task) else { return }
    if suspendedCount.load(ordering: .relaxed) > 1 { patience.sawOthers() }
    do throws(LimitClientError) {
      try checkUsable()
      guard isReady else { return queue(task) }
      _ = try session.ask(question, .task(task))
    } catch {
      return tell(.task(task), .answer(.failure(error)))
    }
    send()
    expire(by: task.deadline)
  }

  /// Whether a task was cancelled before it came here.
  func endsEarly(_ task: TaskWaiter) -> Bool {
    if cancelled.remove(task.number) != nil {
      tell(.task(task), .answer(.failure(.cancelled.with(mayHaveBeenDecided: false))))
      return true
    }
    return false
  }

  /// Answers a task in a process that was forked. What the lock guards, the parent's threads may have been
  /// at: it is not touched.
  func tellForked(_ task: TaskWaiter) {
    task.continuation.resume(
      returning: .answer(.failure(LimitClientError(.forked, Self.forkedText))))
  }

  /// Queues a task until there is a connection.
  func queue(_ task: TaskWaiter) {
    readiness.append(.task(task))
    expire(by: task.deadline)
    ring()
  }

  /// Has what is queued sent: at once where nothing else is on its way.
  func send() {
    if session.wire.outstanding <= 2 { flush() } else { ring() }
    watch()
  }

  /// Ends a call that is waiting, or that will. Resumes its task alone, of which the runtime has its locks.
  func cancel(_ number: UInt64) {
    guard !isForked else { return }
    lock()
    let found = end(number)
    unlockLeaving()
    if let (task, word) = found { task.continuation.resume(returning: word) }
  }

  /// - Returns: the task that waits, and what it is to be told.
  private func end(_ number: UInt64) -> (TaskWaiter, Word)? {
    if let place = readiness.firstIndex(where: { $0.taskNumber == number }),
      case .task(let task) = readiness.remove(at: place)
    {
      return (task, .answer(.failure(.cancelled.with(mayHaveBeenDecided: false))))
    }
    if let collector = batches.first(where: { $0.task?.number == number }) {
      return collector.task.take().map { ($0, .progress) }
    }
    var found: (UInt64, TaskWaiter)?
    session.forEachWaiter { sequence, waiter in
      if case .task(let task) = waiter, task.number == number { found = (sequence, task) }
    }
    guard let (sequence, task) = found else {
      cancelled.insert(number)
      return nil
    }
    return (task, .answer(session.abandon(sequence) ?? .failure(.cancelled)))
  }

  /// A call is over that was cancelled, perhaps before or after it waited.
  func forget(_ number: UInt64) {
    guard !isForked else { return }
    lock()
    cancelled.remove(number)
    unlock()
  }

  /// A call has this deadline.
  func expire(by deadline: Moment) {
    nextExpiry = min(nextExpiry, deadline)
    schedule(deadline)
  }

  /// Ends the calls whose time is up.
  ///
  /// - Returns: when the next one's is.
  func expire(at now: Moment) -> Moment {
    var next = Moment.distantFuture
    var late: [(UInt64, Waiter)] = []
    session.forEachWaiter { sequence, waiter in
      guard let deadline = waiter.taskDeadline else { return }
      if deadline <= now { late.append((sequence, waiter)) } else { next = min(next, deadline) }
    }
    if !late.isEmpty { silence.timedOut(at: now) }
    for (sequence, waiter) in late {
      let answer = session.abandon(sequence) ?? .failure(.timedOut(mayHaveBeenDecided: true))
      tell(waiter, .answer(answer))
    }
    next = min(next, expireReadiness(at: now))
    for collector in batches {
      guard let task = collector.task else { continue }
      if task.deadline <= now {
        collector.task = nil
        tell(.task(task), .progress)
      } else {
        next = min(next, task.deadline)
      }
    }
    return next
  }

  private func expireReadiness(at now: Moment) -> Moment {
    var next = Moment.distantFuture
    var left: [Waiter] = []
    for waiter in readiness {
      guard let deadline = waiter.taskDeadline, deadline <= now else {
        left.append(waiter)
        next = min(next, waiter.taskDeadline ?? .distantFuture)
        continue
      }
      tell(waiter, .answer(.failure(.timedOut(mayHaveBeenDecided: false))))
    }
    readiness = left
    return next
  }
}

extension Waiter {
  var taskNumber: UInt64? {
    if case .task(let task) = self { return task.number }
    return nil
  }

  var taskDeadline: Moment? {
    if case .task(let task) = self { return task.deadline }
    return nil
  }
}
