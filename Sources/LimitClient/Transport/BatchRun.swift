// A batch on its way: what is queued, what was answered, what is left. Guarded by its channel's
// lock.

internal import LimitProtocol

/// Gathers the answers to a batch. Frames that are answered when the caller has gone find it still.
final class BatchCollector {
  enum Outcome {
    case decided(DecisionRecord)
    case failed(LimitClientError)
    case waiting
  }

  /// In the order of the items.
  var outcomes: [Outcome]
  /// Items that are on their way.
  var outstanding = 0
  /// Nothing is queued until a bind is answered.
  var waitsForBind = false
  /// The first item that was not sent when its connection broke.
  var unsent: Int?
  /// Who is told of progress; a task is told once, and registers anew.
  var thread: ThreadWaiter?
  var task: TaskWaiter?

  init(count: Int) { outcomes = [Outcome](repeating: .waiting, count: count) }

  /// Takes the answer to some items.
  func take(_ answer: Answer, _ range: Range<Int>) {
    outstanding -= range.count
    guard !outcomes.isEmpty else { return }
    switch answer {
    case .batch(var decisions):
      for place in range {
        guard let record = decisions.next() else { break }
        outcomes[place] = Self.outcome(record)
      }
    case .decision(let record, _, _): outcomes[range.lowerBound] = .decided(record)
    case .failure(let error):
      if error.isSafeToAskAgain { unsent = min(unsent ?? .max, range.lowerBound) }
      for place in range { outcomes[place] = .failed(error) }
    case .limits, .done: break
    }
  }

  private static func outcome(_ record: DecisionRecord) -> Outcome {
    guard record.outcome != .notDecided else {
      let name = record.error?.name ?? "error \(record.reason.rawValue)"
      return .failed(
        LimitClientError(
          .refused, "limitd refused: \(name)", daemonErrorNumber: UInt16(record.reason.rawValue)))
    }
    return record.isAnswer ? .decided(record) : .failed(.violation("an item with no outcome"))
  }
}

/// The items of a batch, and how far it has come.
struct BatchRun {
  private let items: [LimitQuery]
  let collector: BatchCollector
  /// The first item that is not queued.
  private var next = 0
  private var mayAskAgain = true
  /// The item that has waited for its bind.
  private var waitedFor = -1

  /// - Parameter items: names and costs are within their bounds.
  init(_ items: [LimitQuery]) {
    self.items = items
    collector = BatchCollector(count: items.count)
  }

  var isDone: Bool {
    next == items.count && collector.outstanding == 0 && (collector.unsent == nil || !mayAskAgain)
  }

  /// Queues more, where there is a connection.
  ///
  /// - Returns: whether one must be waited for.
  mutating func advance(on channel: Channel) -> Bool {
    if let unsent = collector.unsent.take(), mayAskAgain {
      // What broke before it was sent is asked once more.
      (mayAskAgain, next) = (false, min(next, unsent))
    }
    guard next < items.count else { return false }
    do throws(LimitClientError) {
      try channel.checkUsable()
    } catch {
      fail(error)
      return false
    }
    guard channel.isReady else { return true }
    let collector = collector
    collector.waitsForBind = channel.session.askBatch(
      items, from: &next, mayWait: waitedFor != next
    ) { range in
      collector.outstanding += range.count
      return .batch(collector, range)
    } refused: { place, error in
      collector.take(.failure(error), place..<place + 1)
    }
    if collector.waitsForBind { waitedFor = next }
    return false
  }

  /// The rest is not asked.
  mutating func fail(_ error: LimitClientError) {
    for place in next..<items.count { collector.outcomes[place] = .failed(error) }
    next = items.count
  }

  /// The batch is over, or its caller waits no longer.
  ///
  /// - Parameter error: of what has no answer.
  mutating func end(_ error: LimitClientError) -> [BatchCollector.Outcome] {
    let queued = next
    fail(error.with(mayHaveBeenDecided: false))
    var outcomes: [BatchCollector.Outcome] = []
    // Late answers find nobody.
    swap(&outcomes, &collector.outcomes)
    for place in 0..<queued {
      if case .waiting = outcomes[place] {
        outcomes[place] = .failed(error.with(mayHaveBeenDecided: true))
      }
    }
    return outcomes
  }
}
