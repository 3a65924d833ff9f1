// The results of a batch, made as its answers come. Their caller's alone: no lock.

internal import LimitProtocol

/// Turns a batch's answers into what its caller gets.
struct BatchResults {
  typealias Element = Result<LimitDecision, LimitClientError>

  private let queries: [LimitQuery]
  private let whenAway: WhenAway
  private(set) var results: [Element]
  private var names: [UInt32: PolicyNames] = [:]
  /// Of the last decision that had any.
  private var last: PolicyNames?
  /// Decisions of limits whose names are not known.
  private var unnamed: [(place: Int, record: DecisionRecord)] = []

  /// Results as if nothing was sent in time. What takes longest, their memory, is no work then that
  /// comes after the deadline.
  init(_ queries: [LimitQuery], _ whenAway: WhenAway) {
    self.queries = queries
    self.whenAway = whenAway
    results = Array(
      repeating: whenAway.result(for: .timedOut(mayHaveBeenDecided: false)), count: queries.count)
  }

  /// Reads what has arrived.
  ///
  /// - Parameter channel: where it was asked.
  mutating func read(_ collector: BatchCollector, from channel: Channel) {
    var decisions = BatchDecisions(
      WireReader(collector.arrived.records.bytes),
      count: collector.arrived.records.count / DecisionRecord.byteCount)
    for (items, failure) in collector.arrived.pieces {
      if let failure {
        let result = whenAway.result(for: failure)
        for place in items { results[place] = result }
      } else {
        for place in items {
          guard let record = decisions.next() else { break }
          write(record, at: place, from: channel)
        }
      }
    }
    collector.arrived.removeAll()
  }

  @inline(__always)
  private mutating func write(_ record: DecisionRecord, at place: Int, from channel: Channel) {
    guard record.isAnswer else {
      return results[place] = whenAway.result(for: Self.failure(record))
    }
    if record.place == DecisionRecord.noPlace {
      results[place] = .success(LimitDecision(record, of: queries[place], names: nil))
    } else {
      if last?.tag != record.receipt.tag { last = find(record.receipt.tag, in: channel) }
      if last == nil { unnamed.append((place, record)) }
      results[place] = .success(LimitDecision(record, of: queries[place], names: last))
    }
  }

  @inline(never) private mutating func find(_ tag: UInt32, in channel: Channel) -> PolicyNames? {
    if let known = names[tag] { return known }
    names[tag] = channel.names(tag: tag)
    return names[tag]
  }

  @inline(never) private static func failure(_ record: DecisionRecord) -> LimitClientError {
    guard record.outcome == .notDecided else { return .violation("an item with no outcome") }
    let name = record.error?.name ?? "error \(record.reason.rawValue)"
    return LimitClientError(
      .refused, "limitd refused: \(name)", daemonErrorNumber: UInt16(record.reason.rawValue))
  }

  /// For each tag whose names are missing a query whose limits it stands for.
  var unknown: [LimitQuery] {
    var places: [UInt32: Int] = [:]
    for (place, record) in unnamed where places[record.receipt.tag] == nil {
      places[record.receipt.tag] = place
    }
    return places.values.map { queries[$0] }
  }

  /// Names the limits of decisions that were waiting for it.
  mutating func learn(_ learnt: PolicyNames) {
    for (place, record) in unnamed where record.receipt.tag == learnt.tag {
      results[place] = .success(LimitDecision(record, of: queries[place], names: learnt))
    }
    unnamed.removeAll { $0.record.receipt.tag == learnt.tag }
  }
}
