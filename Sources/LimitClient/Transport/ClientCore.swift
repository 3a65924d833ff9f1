// What a client consists of, behind its public face: channels and, where they need it, a loop. Any
// thread.

internal import LimitProtocol
internal import LimitSystem
internal import Synchronization

/// The channels of a client. Permits keep it, so that they can be given back after their client
/// has gone.
final class ClientCore: Sendable {
  let configuration: ClientConfiguration
  private let channels: [Channel]
  private let loop = Locked<IOLoop?>(nil)
  private let nextChannel = Atomic<Int>(0)
  private let nextNumber = Atomic<UInt64>(1)

  init(
    _ configuration: ClientConfiguration, isLoopDriven: Bool,
    observer: (any LimitClientObserver)?
  ) {
    self.configuration = configuration
    channels = (0..<max(1, configuration.connectionCount)).map {
      Channel(configuration, place: $0, isLoopDriven: isLoopDriven, observer: observer)
    }
    for channel in channels {
      channel.makeLoop = { [weak self] () throws(SystemError) in try self?.startedLoop() }
    }
  }

  deinit { shut() }

  /// Ends every connection, and the loop.
  func shut() {
    guard !channels[0].isForked else { return }
    for channel in channels { channel.shut() }
    loop.withLock { $0?.stop() }
  }

  /// The loop, started where it was not.
  ///
  /// - Throws: where the system has no thread or no descriptor for it.
  private func startedLoop() throws(SystemError) -> IOLoop {
    try loop.withLock { (loop) throws(SystemError) in
      if let loop { return loop }
      let new = try IOLoop(channelCount: channels.count)
      try new.start(channels)
      loop = new
      return new
    }
  }

  /// The channel for a call: each in turn.
  var channel: Channel {
    guard channels.count > 1 else { return channels[0] }
    let number = nextChannel.wrappingAdd(1, ordering: .relaxed).newValue
    return channels[Int(UInt(bitPattern: number) % UInt(channels.count))]
  }

  /// A number for a call of a task.
  func newNumber() -> UInt64 { nextNumber.wrappingAdd(1, ordering: .relaxed).oldValue }

  func deadline(_ options: CallOptions) -> Moment {
    .after(options.timeout ?? configuration.callTimeout)
  }

  func whenAway(_ options: CallOptions) -> WhenAway { options.whenAway ?? configuration.whenAway }
}

extension ClientCore {
  /// The decision in an answer to a query.
  ///
  /// - Parameter channel: where it was asked.
  func decision(_ answer: Answer, of query: LimitQuery, by channel: Channel)
    throws(LimitClientError) -> LimitAcquisition
  {
    switch answer {
    case .decision(let record, let given, let names):
      let permit = given.map { LimitPermit($0, of: channel, keeping: self) }
      return LimitAcquisition(LimitDecision(record, of: query, names: names), permit)
    case .failure(let error): throw error
    case .batch, .limits, .done: throw .violation("a query was answered by something else")
    }
  }

  /// What settle asks; nil where there is nothing to settle.
  func settlement(_ receipt: LimitReceipt, actual: UInt64) throws(LimitClientError) -> Question? {
    try Bounds.check(cost: actual)
    return receipt.isEmpty ? nil : .settle(receipt, actual: actual)
  }
}
