// How a task asks: where it is alone it looks for the answer itself (Channel+Looking); else it hands
// its continuation to a channel, and is resumed with the answer, at its deadline, or when it is
// cancelled; then it tells others what the loop has left.

internal import Synchronization

extension ClientCore {
  /// Asks. A question of which nothing was sent when its connection broke is asked once more.
  func ask(_ question: Question, by channel: Channel, _ deadline: Moment) async -> Answer {
    var mayAskAgain = true
    while true {
      guard Moment.now < deadline else { return .failure(.timedOut(mayHaveBeenDecided: false)) }
      let word: Word
      switch Task.isCancelled ? .not : channel.look(question, until: deadline) {
      case .word(let found): word = found
      case .inVain: word = await wait(channel, until: deadline) { task in channel.wait(task) }
      case .not:
        word = await wait(channel, until: deadline) { task in channel.ask(question, task) }
      }
      switch word {
      case .answer(let answer):
        if mayAskAgain, case .failure(let error) = answer, error.isSafeToAskAgain {
          mayAskAgain = false
          continue
        }
        return answer
      case .ready, .progress: continue
      }
    }
  }

  /// Asks a batch.
  ///
  /// - Parameter read: reads what has arrived.
  func ask(
    _ items: [LimitQuery], by channel: Channel, _ deadline: Moment,
    _ read: (BatchCollector) -> Void
  ) async {
    guard !items.isEmpty else { return }
    var run = BatchRun(items)
    let collector = run.collector
    var error = LimitClientError.timedOut(mayHaveBeenDecided: true)
    while Moment.now < deadline {
      let step = run
      let (word, stepped) = await withUnsafeResult(channel, until: deadline) { task in
        channel.step(step, task)
      }
      run = stepped.0
      read(collector)
      if stepped.isLast { break }
      if case .answer(.failure(let failure)) = word { error = failure }
      if Task.isCancelled { error = .cancelled }
      if error.code != .timedOut { break }
    }
    channel.end(&run, error)
    read(collector)
  }

  /// Suspends until a channel has a word for this task.
  private func wait(
    _ channel: Channel, until deadline: Moment, _ begin: (TaskWaiter) -> Void
  ) async -> Word {
    channel.helpIfOverdue()
    let number = newNumber()
    channel.suspendedCount.add(1, ordering: .relaxed)
    defer { channel.suspendedCount.subtract(1, ordering: .relaxed) }
    let word = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        begin(TaskWaiter(number: number, continuation: continuation, deadline: deadline))
      }
    } onCancel: {
      channel.cancel(number)
    }
    channel.help()
    // A cancellation that found nobody waiting has left the number behind.
    if Task.isCancelled { channel.forget(number) }
    return word
  }

  /// As `wait`, with what `begin` returned.
  private func withUnsafeResult<Result>(
    _ channel: Channel, until deadline: Moment, _ begin: (TaskWaiter) -> Result
  ) async -> (Word, Result) {
    var result: Result?
    let word = await wait(channel, until: deadline) { task in result = begin(task) }
    return (word, result.unsafelyUnwrapped)
  }
}
