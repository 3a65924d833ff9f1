// A batch on its way: what is queued, what was answered, what is left. Guarded by its channel's lock
// but for `BatchCollector.arrived`.

internal import LimitProtocol

/// Gathers the answers to a batch as they come; its caller reads them without the lock. Frames that
/// are answered when the caller has gone find it still.
final class BatchCollector {
  /// Answers to items, in the order in which they came.
  struct Arrivals: ~Copyable {
    /// Which items, and why they have no decision; nil: `records` has theirs.
    var pieces: [(items: Range<Int>, failure: LimitClientError?)] = []
    var records = ByteQueue()

    mutating func removeAll() {
      pieces.removeAll(keepingCapacity: true)
      records.consume(records.count)
    }
  }

  private var incoming = Arrivals()
  /// What `takeArrivals` found: the caller's, who empties it.
  var arrived = Arrivals()
  /// Items that are on their way.
  var outstanding = 0
  /// Nothing that is on its way brings it further, but a bind or whatever keeps the room to send: it
  /// is told whenever something comes.
  var waitsForOthers = false
  /// The first item that was not sent when its connection broke.
  var unsent: Int?
  /// The caller has gone.
  var isOver = false
  /// Who is told of progress; a task is told once, and registers anew.
  var thread: ThreadWaiter?
  var task: TaskWaiter?

  /// Takes the answer to items that are on their way.
  func take(_ answer: Answer, _ items: Range<Int>) {
    outstanding -= items.count
    guard !isOver else { return }
    switch answer {
    case .batch(let decisions):
      incoming.records.append(decisions.bytes)
      incoming.pieces.append((items, nil))
    case .decision(let record, _, _):
      incoming.records.append(byteCount: DecisionRecord.byteCount) { record.encode(into: &$0) }
      incoming.pieces.append((items, nil))
    case .failure(let error):
      if error.isSafeToAskAgain { unsent = min(unsent ?? .max, items.lowerBound) }
      fail(items, error)
    case .limits, .done: break
    }
  }

  /// Items that are not on their way have no decision.
  func fail(_ items: Range<Int>, _ error: LimitClientError) {
    if !items.isEmpty { incoming.pieces.append((items, error)) }
  }

  /// Hands what came to the caller.
  ///
  /// - Returns: whether there is anything.
  /// - Precondition: what came before was read.
  func takeArrivals() -> Bool {
    guard !incoming.pieces.isEmpty else { return false }
    precondition(arrived.pieces.isEmpty, "what came before is read first")
    swap(&incoming, &arrived)
    return true
  }
}

/// The items of a batch, and how far it has come.
struct BatchRun {
  private let items: [LimitQuery]
  let collector = BatchCollector()
  /// The first item that is not queued.
  private var next = 0
  private var mayAskAgain = true
  /// The item that has waited for its bind.
  private var waitedFor = -1

  /// - Parameter items: names and costs are within their bounds.
  init(_ items: [LimitQuery]) { self.items = items }

  /// Everything is answered, though not all may have been read.
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
    collector.waitsForOthers = false
    guard next < items.count else { return false }
    do throws(LimitClientError) {
      try channel.checkUsable()
    } catch {
      fail(error)
      return false
    }
    guard channel.isReady else { return true }
    let collector = collector
    let waitsForBind = channel.session.askBatch(
      items, from: &next, mayWait: waitedFor != next
    ) { range in
      collector.outstanding += range.count
      return .batch(collector, range)
    } refused: { place, error in
      collector.take(.failure(error), place..<place + 1)
    }
    if waitsForBind { waitedFor = next }
    collector.waitsForOthers = waitsForBind || next < items.count && collector.outstanding == 0
    return false
  }

  /// The rest is not asked.
  mutating func fail(_ error: LimitClientError) {
    collector.fail(next..<items.count, error)
    next = items.count
  }

  /// The batch is over, or its caller waits no longer.
  ///
  /// - Parameters:
  ///   - error: of what has no answer. Where that is the deadline, nothing is said of what was not
  ///     sent: most of a batch, perhaps.
  ///   - onTheWay: items that are.
  mutating func end(_ error: LimitClientError, onTheWay: [Range<Int>]) {
    if error.code != .timedOut { fail(error.with(mayHaveBeenDecided: false)) }
    for items in onTheWay { collector.fail(items, error.with(mayHaveBeenDecided: true)) }
    collector.isOver = true
    collector.thread = nil
    collector.task = nil
  }
}
