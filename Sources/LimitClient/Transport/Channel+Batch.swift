// Batches of threads and tasks: queue, wait for progress, queue more.

extension Channel {
  /// Tells every batch that waits for others' answers that something came, or that nothing will.
  func tellBatches() {
    for collector in batches where collector.waitsForOthers {
      collector.waitsForOthers = false
      tell(.batch(collector, 0..<0), .progress)
    }
  }

  private func remove(_ collector: BatchCollector) {
    batches.removeAll { $0 === collector }
  }

  /// Items of a batch that are asked and not answered. O(requests).
  private func onTheWay(_ run: BatchRun) -> [Range<Int>] {
    guard run.collector.outstanding > 0 else { return [] }
    var found: [Range<Int>] = []
    session.forEachWaiter { _, waiter in
      if case .batch(let collector, let items) = waiter, collector === run.collector {
        found.append(items)
      }
    }
    return found
  }

  /// Asks a batch, and waits for its answers.
  ///
  /// - Parameter read: reads what has arrived. Is called without the lock, also while the daemon works on
  ///   what was sent, and a last time when all is over.
  func ask(_ items: [LimitQuery], until deadline: Moment, _ read: (BatchCollector) -> Void) {
    var run = BatchRun(items)
    guard !isForked else {
      run.end(LimitClientError(.forked, Self.forkedText), onTheWay: [])
      if run.collector.takeArrivals() { read(run.collector) }
      return
    }
    guard Moment.now < deadline else { return }
    lock()
    let waiter = spareWaiters.popLast() ?? ThreadWaiter()
    run.collector.thread = waiter
    batches.append(run.collector)
    repeat {
      waiter.word = nil
      let mustWait = run.advance(on: self)
      if mustWait { readiness.append(.thread(waiter)) } else { flush() }
      if run.isDone { break }
      if !mustWait, run.collector.takeArrivals() {
        // Others go on meanwhile. What nobody waits for has time until this thread is back.
        if !isLed { firstParked?.wake() }
        unlock()
        read(run.collector)
        lock()
        continue
      }
      wait(waiter, until: deadline)
      if case .answer(.failure(let error)) = waiter.word { run.fail(error) }
      if waiter.word == nil {
        forgetReadiness(of: waiter)
        silence.timedOut(at: .now)
        break
      }
    } while Moment.now < deadline
    remove(run.collector)
    run.end(.timedOut(mayHaveBeenDecided: true), onTheWay: onTheWay(run))
    waiter.word = nil
    spareWaiters.append(waiter)
    leave()
    unlock()
    if run.collector.takeArrivals() { read(run.collector) }
  }

  /// One step of a batch of a task, which is resumed when there is more to do. What has arrived is the
  /// task's to read before the next.
  ///
  /// - Returns: the batch, further on, and whether that was the last step.
  func step(_ run: BatchRun, _ task: TaskWaiter) -> (BatchRun, isLast: Bool) {
    guard !isForked else {
      tellForked(task)
      return (run, false)
    }
    lock()
    defer { unlock() }
    var run = run
    guard !endsEarly(task) else { return (run, false) }
    if !batches.contains(where: { $0 === run.collector }) { batches.append(run.collector) }
    if run.advance(on: self) {
      queue(task)
      return (run, false)
    }
    // Before anything is sent: answers may come while it is.
    run.collector.task = task
    expire(by: task.deadline)
    send()
    let isLast = run.isDone
    if isLast || run.collector.takeArrivals(), let task = run.collector.task.take() {
      tell(.task(task), .progress)
    }
    return (run, isLast)
  }

  /// A task's batch is over, or its caller waits no longer. What has arrived is left to be read.
  func end(_ run: inout BatchRun, _ error: LimitClientError) {
    let isForked = isForked
    if !isForked { lock() }
    defer { if !isForked { unlock() } }
    if !isForked { remove(run.collector) }
    run.end(error, onTheWay: isForked ? [] : onTheWay(run))
    _ = run.collector.takeArrivals()
  }

  /// The names of the limits that a tag stands for, where they are known.
  func names(tag: UInt32) -> PolicyNames? {
    guard !isForked else { return nil }
    lock()
    defer { unlock() }
    return session.names(tag: tag)
  }
}
