// One connection of a client with its socket and its waiters: opened when it is needed, and again
// when it was lost.
//
//     ask ─▶ session ─▶ flush            whoever asks sends, unless somebody is at it
//     turn ─▶ wait ─▶ receive ─▶ answers  whoever leads, one at a time:
//                                         a thread that waits (Channel+Threads),
//                                         a task that asks alone (Channel+Looking),
//                                         or the client's loop (Channel+Loop)
//
// Everything is guarded by one lock, which nobody holds while waiting for the daemon or inside a
// system call that sends or receives.

internal import Glibc
internal import LimitProtocol
internal import LimitSystem
internal import Synchronization

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
  /// Calls this channel when its sockets or deadlines need it, and tells the observer. Nil until then; of an
  /// async client until somebody asks.
  var loop: IOLoop?
  /// Starts the loop that the client's channels share. Written before any use.
  var makeLoop: (() throws(SystemError) -> IOLoop?)?
  /// Whether the loop alone leads: an async client.
  let isLoopDriven: Bool
  let generation = ForkGuard.generation

  let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  var state = State.idle
  var session: ClientSession<Waiter>
  var socket: ClientSocket?
  /// Counts connections: a permit belongs to one of them.
  var epoch: UInt64 = 0
  var isShut = false
  /// What a sender sends. Its own while `isSending`.
  var outgoing = ByteQueue()
  var isSending = false
  /// The socket takes no more now.
  var isOutputBlocked = false
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
  var attemptDeadline = Moment.distantPast
  var retryAt = Moment.distantPast
  var backOff: BackOff
  var silence = SilenceWatch()
  /// A request was answered on this connection.
  var isProven = false
  var isAwayTold = false
  /// What is to be told once the lock is let go.
  var resumptions = RingQueue<Resumption>()
  /// The memory of such a queue, to be used again.
  var spareResumptions = RingQueue<Resumption>()
  private var notices = Notices()
  /// What the loop has left to be told by the tasks that are told (Channel+Telling).
  var left = RingQueue<Resumption>()
  /// `leftDeadline`, in nanoseconds. Written under the lock. Relaxed: a task that is told after something was left sees it, since it is told after the
  /// lock was let go; whoever sees less or more only helps less, or looks in vain.
  let leftUntil = Atomic<UInt64>(.max)
  /// Leaves nothing while tasks do not tell in time.
  var helpBackOff = CountedBackOff(isWary: true)
  // Of an async client (Channel+Loop, Channel+Tasks).
  var batches: [BatchCollector] = []
  /// Numbers of calls that were cancelled before they began to wait.
  var cancelled: Set<UInt64> = []
  /// What is watched for.
  var watched: Poller.Events?
  /// The call whose task looks for its answer, or has looked and does not wait yet.
  var look: Look?
  var patience: Patience
  /// Tasks that wait, or were told and have not run since. Relaxed: a guess is enough.
  let suspendedCount = Atomic<Int>(0)
  var isRung = false
  /// No call's deadline is before this.
  var nextExpiry = Moment.distantFuture
  /// The loop was asked to call by then.
  var scheduled = Moment.distantFuture

  init(
    _ configuration: ClientConfiguration, place: Int, isLoopDriven: Bool,
    observer: (any LimitClientObserver)?
  ) {
    self.configuration = configuration
    self.place = place
    self.isLoopDriven = isLoopDriven
    self.observer = observer
    session = ClientSession(clientName: configuration.clientNameCut, connection: 0)
    patience = Patience(configuration.spin)
    backOff = BackOff(first: configuration.backOffFirst, max: configuration.backOffMax)
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Whether this process may use the channel at all.
  var isForked: Bool { ForkGuard.generation != generation }

  // MARK: The observer

  /// Has the loop tell the observer. Nobody else does: so it is told one thing after another, in order, and under no
  /// lock of whoever found out.
  func note(_ notice: Notice) {
    guard observer != nil else { return }
    notices.append(notice)
    // Where the system has no thread for it, the next notice tries again.
    if loop == nil { loop = try? makeLoop?() }
    ring()
  }

  /// As `unlockSharing`; then tells the observer, without the lock. It may take long, or want what a caller holds who
  /// waits for an answer: so nothing is left then.
  func unlockTelling() {
    guard !notices.isEmpty else { return unlockSharing() }
    let (told, loop) = (notices.take(), loop)
    unlockLeft()
    loop?.tellLeft()
    for notice in told {
      switch notice {
      case .away(let error): observer?.limitdIsAway(error)
      case .back: observer?.limitdIsBack()
      case .lost(let count): observer?.permitsWereLost(count)
      }
    }
  }

  // MARK: Waiters

  func tell(_ waiter: Waiter, _ word: Word) {
    switch waiter {
    case .thread(let thread):
      thread.word = word
      if thread.isParked { thread.wake() }
    case .task(let task): resumptions.append((task.continuation, word))
    case .looker: look?.word = word
    case .batch(let collector, let range):
      if case .answer(let answer) = word { collector.take(answer, range) }
      if let thread = collector.thread { tell(.thread(thread), .progress) }
      if let task = collector.task {
        collector.task = nil
        tell(.task(task), .progress)
      }
    }
  }

  func answer(_ waiter: Waiter, _ answer: Answer) { tell(waiter, .answer(answer)) }

  // MARK: Asking

  /// What the daemon said when the connection began; nil where there is none.
  var hello: HelloReply? {
    guard !isForked else { return nil }
    lock()
    defer { unlock() }
    return session.hello
  }

  /// Whether questions are taken now.
  var isReady: Bool { state == .open && session.isReady }

  /// - Throws: why no question is taken, where waiting for a connection does not help.
  func checkUsable() throws(LimitClientError) {
    if isShut { throw .closed }
    if isLoopDriven, loop == nil { try startLoop() }
    if state == .idle { try backOff.check(at: .now) }
  }

  /// Without its loop nobody would answer an async client's tasks, or end their calls at the deadline.
  private func startLoop() throws(LimitClientError) {
    do throws(SystemError) {
      loop = try makeLoop?()
    } catch {
      throw .unreachable("the client's thread does not start: \(error)", systemError: error.number)
    }
  }

  /// Sends what is queued, unless somebody is at it. Lets the lock go meanwhile, and leaves it to the caller's
  /// `unlock` to tell what there is.
  func flush() {
    guard !isSending else { return }
    isSending = true
    defer { isSending = false }
    while let socket {
      if outgoing.isEmpty { session.wire.takeOutput(&outgoing) }
      if outgoing.isEmpty { return isOutputBlocked = false }
      let epoch = self.epoch
      // Whoever leads may lose the connection before the kernel's answer is noted here.
      session.wire.offer(outgoing.count)
      pthread_mutex_unlock(mutex)
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
      case .wouldBlock:
        session.wire.sent(0)
        return isOutputBlocked = true
      case .ended:
        session.wire.sent(0)
        outgoing.consume(outgoing.count)
        return session.outputEnded(answer)
      }
    }
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
    unlockLeaving()
  }

  // MARK: Permits

  /// Gives a permit back. Never waits for the daemon.
  func release(_ permit: GivenPermit) {
    guard !isForked else { return }
    lock()
    if epoch == permit.connection, state == .open {
      session.release(permit.number)
      flush()
      handBack()
    }
    unlockLeaving()
  }

  /// Whoever was here goes: what is left is somebody else's.
  private func handBack() { if isLoopDriven { watch() } else { leave() } }

  /// Whether the connection stands that a permit came by. Looks whether it has just ended.
  func holds(_ permit: GivenPermit) -> Bool {
    guard !isForked else { return false }
    lock()
    defer { unlockLeaving() }
    while !isLed, let socket {
      let outcome = socket.receive(into: leaderBuffer.memory)
      take(outcome, leaderBuffer, from: socket)
      guard case .bytes = outcome else { break }
    }
    // A permit that came too late goes back.
    flush()
    handBack()
    return epoch == permit.connection && state == .open && !session.isClosing
  }
}
