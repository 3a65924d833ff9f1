// One connection of a client with its socket and its waiters: opened when it is needed, and again
// when it was lost.
//
//     ask ─▶ session ─▶ flush            whoever asks sends, unless somebody is at it
//     turn ─▶ wait ─▶ receive ─▶ answers  whoever leads, one at a time:
//                                         a thread that waits (Channel+Threads),
//                                         or the client's loop (Channel+Loop)
//
// Everything is guarded by one lock, which nobody holds while waiting for the daemon or inside a
// system call that sends or receives.

internal import Glibc
internal import LimitProtocol
internal import LimitSystem

/// A connection. Any thread or task may call it.
final class Channel: @unchecked Sendable {
  enum State {
    case idle
    /// The daemon's queue of connections is full: try again at `retryAt`.
    case connecting
    /// There is a socket; `session.isReady` once the daemon has greeted.
    case open
  }

  let configuration: ClientConfiguration
  private let observer: (any LimitClientObserver)?
  /// Place among the client's channels.
  let place: Int
  /// Calls this channel when its sockets or deadlines need it; of a blocking client nil until then.
  var loop: IOLoop?
  /// Of a blocking client: starts the loop that its channels share. Written before any use.
  var makeLoop: (() -> IOLoop?)?
  /// Whether the loop alone leads: an async client.
  let isLoopDriven: Bool
  let generation = ForkGuard.generation

  let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private(set) var state = State.idle
  var session: ClientSession<Waiter>
  private(set) var socket: ClientSocket?
  /// Counts connections: a permit belongs to one of them.
  private(set) var epoch: UInt64 = 0
  private(set) var isShut = false
  /// What a sender sends. Its own while `isSending`.
  private var outgoing = ByteQueue()
  private var isSending = false
  /// The socket takes no more now.
  private(set) var isOutputBlocked = false
  /// Somebody leads.
  var isLed = false
  /// Waiters for a connection.
  var readiness: [Waiter] = []
  /// Threads that wait while another leads, in the order in which they came.
  var firstParked: ThreadWaiter?
  unowned(unsafe) var lastParked: ThreadWaiter?
  /// Threads' waiters that are not in use, and the memory of who leads.
  var spareWaiters: [ThreadWaiter] = []
  let leaderBuffer = ReceiveBuffer(byteCount: 1 << 16)
  /// Of the attempt to connect, or of the hello.
  private var attemptDeadline = Moment.distantPast
  private var retryAt = Moment.distantPast
  private var backOff: BackOff
  var silence = SilenceWatch()
  /// A request was answered on this connection.
  private var isProven = false
  private var isAwayTold = false
  /// What is to be told once the lock is let go.
  private var resumptions: [(UnsafeContinuation<Word, Never>, Word)] = []
  private var notices: [Notice] = []
  // Of an async client (Channel+Loop, Channel+Tasks).
  var batches: [BatchCollector] = []
  /// Numbers of calls that were cancelled before they began to wait.
  var cancelled: Set<UInt64> = []
  /// What is watched for.
  var watched: Poller.Events?
  var watchedEpoch: UInt64 = 0
  var isRung = false
  /// No call's deadline is before this.
  var nextExpiry = Moment.distantFuture
  /// The loop was asked to call by then.
  var scheduled = Moment.distantFuture

  private enum Notice {
    case away(LimitClientError)
    case back
    case lost(Int)
  }

  init(
    _ configuration: ClientConfiguration, place: Int, isLoopDriven: Bool,
    observer: (any LimitClientObserver)?
  ) {
    self.configuration = configuration
    self.place = place
    self.isLoopDriven = isLoopDriven
    self.observer = observer
    session = ClientSession(clientName: configuration.clientNameCut, connection: 0)
    backOff = BackOff(first: configuration.backOffFirst, max: configuration.backOffMax)
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Whether this process may use the channel at all.
  var isForked: Bool { ForkGuard.generation != generation }

  // MARK: The lock

  func lock() { pthread_mutex_lock(mutex) }

  /// Lets the lock go, and tells what there is to tell.
  func unlock() {
    if resumptions.isEmpty && notices.isEmpty {
      pthread_mutex_unlock(mutex)
      return
    }
    if resumptions.count == 1 && notices.isEmpty {
      // The commonest case keeps the array's memory.
      let (continuation, word) = resumptions.removeLast()
      pthread_mutex_unlock(mutex)
      continuation.resume(returning: word)
      return
    }
    let (resumptions, notices) = (resumptions, notices)
    self.resumptions = []
    self.notices = []
    pthread_mutex_unlock(mutex)
    for (continuation, word) in resumptions { continuation.resume(returning: word) }
    for notice in notices { tell(notice) }
  }

  private func tell(_ notice: Notice) {
    switch notice {
    case .away(let error): observer?.limitdIsAway(error)
    case .back: observer?.limitdIsBack()
    case .lost(let count): observer?.permitsWereLost(count)
    }
  }

  private func note(_ notice: Notice) { if observer != nil { notices.append(notice) } }

  // MARK: Waiters

  func tell(_ waiter: Waiter, _ word: Word) {
    switch waiter {
    case .thread(let thread):
      thread.word = word
      if thread.isParked { thread.wake() }
    case .task(let task): resumptions.append((task.continuation, word))
    case .batch(let collector, let range):
      if case .answer(let answer) = word { collector.take(answer, range) }
      if let thread = collector.thread { tell(.thread(thread), .progress) }
      if let task = collector.task {
        collector.task = nil
        tell(.task(task), .progress)
      }
    }
  }

  private func answer(_ waiter: Waiter, _ answer: Answer) { tell(waiter, .answer(answer)) }

  // MARK: Asking

  /// What the daemon said when the connection began; nil where there is none.
  var hello: HelloReply? {
    lock()
    defer { unlock() }
    return session.hello
  }

  /// Whether questions are taken now.
  var isReady: Bool { state == .open && session.isReady }

  /// - Throws: why no question is taken, where waiting for a connection does not help.
  func checkUsable() throws(LimitClientError) {
    if isShut { throw .closed }
    if state == .idle { try backOff.check(at: .now) }
  }

  /// Sends what is queued, unless somebody is at it. Lets the lock go meanwhile.
  func flush() {
    guard !isSending else { return }
    isSending = true
    defer { isSending = false }
    while let socket {
      if outgoing.isEmpty { session.wire.takeOutput(&outgoing) }
      if outgoing.isEmpty { return isOutputBlocked = false }
      let epoch = self.epoch
      unlock()
      let outcome = socket.send(outgoing.bytes)
      lock()
      guard self.epoch == epoch, self.socket != nil else {
        // The connection was lost meanwhile; what is queued by now is for the next.
        outgoing.consume(outgoing.count)
        continue
      }
      switch outcome {
      case .bytes(let count):
        outgoing.consume(count)
        session.wire.sent(count)
      case .wouldBlock: return isOutputBlocked = true
      case .ended:
        outgoing.consume(outgoing.count)
        return session.outputEnded(answer)
      }
    }
  }

  // MARK: Leading

  /// What a leader waits for.
  struct Wait {
    var socket: ClientSocket?
    var forWriting = false
    /// Call again by then.
    var until = Moment.distantFuture
  }

  /// Does what can be done without waiting: connects, sends, notices what is over.
  func turn(at now: Moment) -> Wait {
    while true {
      switch state {
      case .idle:
        guard !readiness.isEmpty, begin(at: now) else { return Wait() }
      case .connecting:
        guard connect(at: now) else {
          return state == .connecting ? Wait(until: min(retryAt, attemptDeadline)) : Wait()
        }
      case .open:
        flush()
        guard let error = reasonToEnd(at: now) else { return waitForSocket(now) }
        lose(error)
      }
    }
  }

  private func waitForSocket(_ now: Moment) -> Wait {
    var until = session.hello == nil ? attemptDeadline : .distantFuture
    if let deadline = silence.deadline { until = min(until, deadline) }
    return Wait(socket: socket, forWriting: isOutputBlocked, until: until)
  }

  private func reasonToEnd(at now: Moment) -> LimitClientError? {
    if session.hello == nil, now >= attemptDeadline {
      return .unreachable("no answer to hello in time")
    }
    if session.isClosing, session.wire.outstanding == 0 {
      return .connectionLost(mayHaveBeenDecided: false)
    }
    if let deadline = silence.deadline, now >= deadline {
      return .timedOut(mayHaveBeenDecided: true)
    }
    return nil
  }

  /// - Returns: whether an attempt to connect begins; else whoever waits was told why not.
  private func begin(at now: Moment) -> Bool {
    do throws(LimitClientError) {
      if isShut { throw .closed }
      try backOff.check(at: now)
    } catch {
      failReadiness(error)
      return false
    }
    attemptDeadline = now.advanced(by: configuration.connectTimeout)
    state = .connecting
    return true
  }

  /// - Returns: whether there is a socket now.
  private func connect(at now: Moment) -> Bool {
    do throws(LimitClientError) {
      switch try ClientSocket.connect(to: configuration.socketPath) {
      case .connected(let socket):
        epoch += 1
        self.socket = socket
        session = ClientSession(clientName: configuration.clientNameCut, connection: epoch)
        (isOutputBlocked, isProven) = (false, false)
        silence.heard()
        state = .open
        return true
      case .queueIsFull:
        guard now < attemptDeadline else {
          throw .unreachable("its queue of connections is full", systemError: EAGAIN)
        }
        retryAt = now.advanced(by: .milliseconds(2))
      }
    } catch {
      state = .idle
      attemptFailed(error)
    }
    return false
  }

  private func attemptFailed(_ error: LimitClientError) {
    // Whoever fails by it has sent nothing.
    let error = error.with(mayHaveBeenDecided: false)
    backOff.failed(error, at: .now)
    tellAway(error)
    failReadiness(error)
  }

  private func tellAway(_ error: LimitClientError) {
    guard !isAwayTold, !isShut else { return }
    isAwayTold = true
    note(.away(error))
  }

  private func failReadiness(_ error: LimitClientError) {
    let waiters = readiness
    readiness = []
    for waiter in waiters { tell(waiter, .answer(.failure(error))) }
  }

  /// Gives the connection up; its waiters get what there is, or the error.
  func lose(_ error: LimitClientError) {
    guard let socket else { return }
    // Others may still hold the socket; for the daemon, and for whoever waits on it, it ends now.
    socket.shutDown()
    if let loop, watched != nil { loop.unwatch(socket) }
    watched = nil
    self.socket = nil
    state = .idle
    if !isSending { outgoing.consume(outgoing.count) }
    let wasGreeted = session.hello != nil
    session.end(error, answer)
    if wasGreeted, isProven { tellAway(error) } else { attemptFailed(error) }
    if session.permitCount > 0 { note(.lost(session.permitCount)) }
  }

  /// Takes what a leader received on `socket`.
  func take(_ outcome: Transfer, _ buffer: ReceiveBuffer, from socket: ClientSocket) {
    guard self.socket === socket else { return }
    switch outcome {
    case .wouldBlock: return
    case .ended: lose(.connectionLost(mayHaveBeenDecided: true))
    case .bytes(let count):
      silence.heard()
      let wasReady = session.isReady
      let outstanding = session.wire.outstanding
      do throws(LimitClientError) {
        try session.receive(
          UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer.memory)[..<count]), answer)
      } catch {
        return lose(error)
      }
      tellBatches()
      if !wasReady, session.isReady {
        greeted()
      } else if !isProven, session.wire.outstanding < outstanding {
        isProven = true
        backOff.succeeded()
      }
    }
  }

  private func greeted() {
    if isAwayTold {
      isAwayTold = false
      note(.back)
    }
    let waiters = readiness
    readiness = []
    for waiter in waiters { tell(waiter, .ready) }
  }

  // MARK: The end

  /// Ends the connection for good; further calls fail.
  func shut() {
    guard !isForked else { return }
    lock()
    isShut = true
    lose(.closed)
    failReadiness(.closed)
    state = .idle
    unlock()
  }

  // MARK: Permits

  /// Gives a permit back. Never waits for the daemon.
  func release(_ permit: GivenPermit) {
    guard !isForked else { return }
    lock()
    if epoch == permit.connection, state == .open {
      session.release(permit.number)
      flush()
      leave()
    }
    unlock()
  }

  /// Whether the connection stands that a permit came by. Looks whether it has just ended.
  func holds(_ permit: GivenPermit) -> Bool {
    guard !isForked else { return false }
    lock()
    defer { unlock() }
    if !isLed, let socket {
      take(socket.receive(into: leaderBuffer.memory), leaderBuffer, from: socket)
    }
    return epoch == permit.connection && state == .open && !session.isClosing
  }
}
