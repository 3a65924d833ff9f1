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

  /// Asks a batch, and waits for its answers.
  func ask(_ items: [LimitQuery], until deadline: Moment) -> [BatchCollector.Outcome] {
    var run = BatchRun(items)
    guard !isForked else { return run.end(LimitClientError(.forked, Self.forkedText)) }
    guard Moment.now < deadline else { return run.end(.timedOut(mayHaveBeenDecided: false)) }
    lock()
    let waiter = spareWaiters.popLast() ?? ThreadWaiter()
    run.collector.thread = waiter
    batches.append(run.collector)
    while !run.isDone {
      waiter.word = nil
      let mustWait = run.advance(on: self)
      if mustWait { readiness.append(.thread(waiter)) } else { flush() }
      if run.isDone { break }
      wait(waiter, until: deadline)
      if case .answer(.failure(let error)) = waiter.word { run.fail(error) }
      if waiter.word == nil {
        forgetReadiness(of: waiter)
        silence.timedOut(at: .now)
        break
      }
    }
    remove(run.collector)
    run.collector.thread = nil
    let outcomes = run.end(.timedOut(mayHaveBeenDecided: true))
    waiter.word = nil
    spareWaiters.append(waiter)
    leave()
    unlock()
    return outcomes
  }

  /// One step of a batch of a task, which is resumed when there is more to do.
  ///
  /// - Returns: the batch, further on.
  func step(_ run: BatchRun, _ task: TaskWaiter) -> BatchRun {
    guard !isForked else {
      tellForked(task)
      return run
    }
    lock()
    defer { unlock() }
    var run = run
    guard !endsEarly(task) else { return run }
    if !batches.contains(where: { $0 === run.collector }) { batches.append(run.collector) }
    if run.advance(on: self) {
      queue(task)
      return run
    }
    // Before anything is sent: answers may come while it is.
    run.collector.task = task
    expire(by: task.deadline)
    send()
    if run.isDone, let task = run.collector.task.take() { tell(.task(task), .progress) }
    return run
  }

  /// A task's batch is over, or its caller waits no longer.
  func end(_ run: BatchRun, _ error: LimitClientError) -> [BatchCollector.Outcome] {
    var run = run
    guard !isForked else { return run.end(error) }
    lock()
    defer { unlock() }
    remove(run.collector)
    run.collector.task = nil
    return run.end(error)
  }

  /// The names of the limits that tags stand for, where they are known.
  func names(tags: some Sequence<UInt32>) -> [UInt32: PolicyNames] {
    guard !isForked else { return [:] }
    lock()
    defer { unlock() }
    var names: [UInt32: PolicyNames] = [:]
    for tag in tags { names[tag] = session.names(tag: tag) }
    return names
  }
}
