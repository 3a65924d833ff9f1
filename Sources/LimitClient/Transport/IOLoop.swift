// The thread of an async client, on which its sockets are read and its deadlines kept; of a blocking
// client the thread that looks after its connections while no caller does.

internal import LimitSystem
internal import Synchronization

/// A thread that waits for the events of some channels. Any thread may call.
final class IOLoop: @unchecked Sendable {
  private static let bufferBytes = 1 << 16
  private static let wakeUpToken = UInt64.max

  private struct State {
    /// When each channel wants to be called.
    var due: [Moment]
    var isStopped = false
    /// What the thread sleeps for at most.
    var sleepsUntil = Moment.distantPast
  }

  private let poller: Poller
  private let wakeUp: WakeUp
  private let state: Locked<State>
  private let generation = ForkGuard.generation
  /// Written before the thread starts, and by it when it ends.
  private var channels: [Channel] = []

  /// - Parameter channelCount: how many it is to call.
  init(channelCount: Int) throws(SystemError) {
    poller = try Poller()
    wakeUp = try WakeUp()
    state = Locked(State(due: Array(repeating: .distantFuture, count: channelCount)))
    try poller.add(wakeUp.descriptor, .input, token: Self.wakeUpToken)
  }

  /// Begins to call the channels, each by its place.
  func start(_ channels: [Channel]) throws(SystemError) {
    self.channels = channels
    _ = try Thread(named: "limit-client") { [self] in run() }
  }

  /// Ends the thread, soon.
  func stop() {
    guard ForkGuard.generation == generation else { return }
    state.withLock { $0.isStopped = true }
    wakeUp.ring()
  }

  /// Wakes the thread, to call every channel.
  func ring() { wakeUp.ring() }

  /// Calls channel `place` at `moment`, or at the time it was to be called, whichever is first.
  func schedule(_ place: Int, at moment: Moment) {
    let isEarlier = state.withLock { state in
      state.due[place] = min(state.due[place], moment)
      return moment < state.sleepsUntil
    }
    if isEarlier { wakeUp.ring() }
  }

  /// Tells what the channels have left to tasks. Of the thread: an observer, whom it calls next, may take long.
  func tellLeft() {
    for channel in channels {
      channel.lock()
      channel.unlockLeft()
    }
  }

  // MARK: Sockets

  private static func token(_ place: Int, _ epoch: UInt64) -> UInt64 {
    UInt64(place) << 48 | epoch & 0xFFFF_FFFF_FFFF
  }

  /// Watches a channel's socket. It must not be watched yet.
  func watch(_ socket: ClientSocket, _ events: Poller.Events, _ place: Int, epoch: UInt64)
    throws(SystemError)
  {
    try poller.add(socket.number, events, token: Self.token(place, epoch))
  }

  func rewatch(_ socket: ClientSocket, _ events: Poller.Events, _ place: Int, epoch: UInt64) {
    poller.change(socket.number, events, token: Self.token(place, epoch))
  }

  func unwatch(_ socket: ClientSocket) { poller.remove(socket.number) }

  // MARK: The thread

  private func run() {
    let buffer = ReceiveBuffer(byteCount: Self.bufferBytes)
    while let timeout = nextTimeout() {
      let count = poller.wait(milliseconds: timeout)
      var isRung = false
      for number in 0..<count {
        let (token, _) = poller.event(number)
        if token == Self.wakeUpToken {
          wakeUp.answer()
          isRung = true
        } else {
          channels[Int(token >> 48)].loopEvent(epoch: token & 0xFFFF_FFFF_FFFF, buffer)
        }
      }
      callDue(all: isRung)
    }
    tellLeft()
    for channel in channels { channel.loopEnded() }
    channels = []
  }

  /// - Returns: nil at the end.
  private func nextTimeout() -> CInt? {
    state.withLock { state in
      guard !state.isStopped else { return nil }
      var next = Moment.distantFuture
      for place in channels.indices { next = min(next, due(place, state)) }
      state.sleepsUntil = next
      return next == .distantFuture ? -1 : next.millisecondsFromNow()
    }
  }

  /// When a channel is to be called: as it asked, or since it has left something. Its turn then says anew when next.
  private func due(_ place: Int, _ state: State) -> Moment {
    min(state.due[place], channels[place].leftDeadline)
  }

  private func callDue(all: Bool) {
    let now = Moment.now
    for place in channels.indices {
      let isDue = state.withLock { state in
        guard all || due(place, state) <= now else { return false }
        state.due[place] = .distantFuture
        return true
      }
      if isDue { channels[place].loopTurn() }
    }
  }
}
