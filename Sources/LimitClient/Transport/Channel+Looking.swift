// A task that asks alone looks for its answer itself for a moment, before it suspends and leaves it to
// the loop: an answer that comes at once then changes no thread. No more than the configuration's
// `spin` goes by so, and less often where it was in vain.

internal import Glibc
internal import LimitSystem
internal import Synchronization

/// A call whose task looks for its answer.
struct Look {
  let sequence: UInt64
  var word: Word?
}

/// Whether it is worth a task's while to look for its answer. One owner at a time.
struct Patience {
  /// Calls after which one suspends, so that other tasks have their turn, and are seen.
  private static let looksMax = 64
  /// Calls that do not look once others were seen.
  private static let pauseForOthers = 16

  /// The longest look.
  let spin: Duration
  /// The last call looked, and so may the next.
  private(set) var isKept = false
  private var looks = 0
  /// After looks in vain, and for the others' sake.
  private var backOff = CountedBackOff()

  init(_ spin: Duration) { self.spin = spin }

  /// Other tasks wait for answers.
  mutating func sawOthers() {
    backOff.pause(Self.pauseForOthers)
    isKept = false
  }

  /// Whether the next call looks, of a task that asks alone.
  mutating func allowsLook() -> Bool {
    guard spin > .zero, backOff.isOver() else { return false }
    looks += 1
    isKept = true
    return looks % Self.looksMax != 0
  }

  mutating func succeeded() { backOff.succeeded() }

  mutating func failed() {
    isKept = false
    backOff.failed()
  }
}

extension Channel {
  enum Looked {
    case word(Word)
    /// The question is asked; `wait(_:)` for its answer.
    case inVain
    /// Nothing was asked.
    case not
  }

  /// Asks, where no other call is on its way, and looks for the answer.
  func look(_ question: Question, until deadline: Moment) -> Looked {
    guard suspendedCount.load(ordering: .relaxed) == 0, !isForked else { return .not }
    lock()
    defer { unlock() }
    guard isReady, !isShut, !isLed, look == nil, session.wire.outstanding == 0, let socket,
      patience.allowsLook()
    else { return .not }
    do throws(LimitClientError) {
      look = Look(sequence: try session.ask(question, .looker))
    } catch {
      return .word(.answer(.failure(error)))
    }
    isLed = true
    watch()
    flush()
    let end = min(deadline, .after(patience.spin))
    while look?.word == nil, self.socket === socket {
      unlock()
      let outcome = received(from: socket, until: end)
      lock()
      guard let outcome else { break }
      take(outcome, leaderBuffer, from: socket)
      // A decision whose limits have no names yet asks for them.
      flush()
    }
    isLed = false
    guard let word = look?.word else {
      patience.failed()
      watch()
      return .inVain
    }
    look = nil
    patience.succeeded()
    watch()
    return .word(word)
  }

  /// - Returns: nil where nothing came in time.
  private func received(from socket: ClientSocket, until end: Moment) -> Reception? {
    while true {
      let outcome = socket.receive(into: leaderBuffer.memory)
      guard case .wouldBlock = outcome else { return outcome }
      guard Moment.now < end else { return nil }
      sched_yield()
    }
  }

  /// The task that looked in vain waits.
  func wait(_ task: TaskWaiter) {
    lock()
    defer { unlock() }
    guard let look = look.take() else { return }
    if let word = look.word { return tell(.task(task), word) }
    if cancelled.remove(task.number) != nil {
      let answer = session.abandon(look.sequence) ?? .failure(.cancelled)
      return tell(.task(task), .answer(answer))
    }
    session.handOver(look.sequence, to: .task(task))
    expire(by: task.deadline)
  }
}
