// An event loop as other threads see it: a mailbox, and signs of life.

import LimitRuntime
import LimitSystem
import Synchronization

/// Shared between an event loop and whoever gives it work. Any thread.
final class LoopHandle: Sendable {
  enum Message: Sendable {
    /// A connection, non-blocking, whose owner the loop becomes.
    case connection(descriptor: Int32, Peer, UserAccount)
    /// Decide by these rules from the next turn on.
    case rulebook(Rulebook)
    /// Read what has arrived, answer it, close, and end.
    case stop
  }

  private let mail = Locked<[Message]>([])
  let wakeUp: WakeUp
  /// Whether there may be mail. Written by senders after they put it there (true, releasing) and by
  /// the loop before it takes it (false, acquiring): so a loop that reads false misses nothing that
  /// its next wake-up will not tell.
  private let hasMail = Atomic<Bool>(false)
  /// Connections given to the loop and not closed yet. Written by the acceptor (up) and the loop
  /// (down); publishes nothing, so relaxed: it only tells the acceptor which loop has fewest.
  let connectionCount = Atomic<Int>(0)
  /// How often others asked for a sign of life, and which of these questions the loop has answered.
  /// Publish nothing, so relaxed.
  private let questions = Atomic<UInt64>(0)
  private let answered = Atomic<UInt64>(0)

  init() throws(SystemError) { wakeUp = try WakeUp() }

  func send(_ message: Message) {
    mail.withLock { $0.append(message) }
    hasMail.store(true, ordering: .releasing)
    wakeUp.ring()
  }

  /// All messages so far, oldest first.
  @inline(__always) func take() -> [Message] {
    guard hasMail.load(ordering: .relaxed) else { return [] }
    return takeMail()
  }

  @inline(never) private func takeMail() -> [Message] {
    // Acquiring: what was put there before the flag was set is seen under the lock anyway.
    _ = hasMail.exchange(false, ordering: .acquiring)
    return mail.withLock { messages in
      defer { messages.removeAll(keepingCapacity: true) }
      return messages
    }
  }

  // MARK: Signs of life

  /// Whether the loop has answered the last question; asks the next one.
  func isAlive() -> Bool {
    let asked = questions.load(ordering: .relaxed)
    let isAlive = answered.load(ordering: .relaxed) == asked
    if isAlive {
      questions.store(asked &+ 1, ordering: .relaxed)
      wakeUp.ring()
    }
    return isAlive
  }

  /// The loop's answer, between two turns.
  func answer() { answered.store(questions.load(ordering: .relaxed), ordering: .relaxed) }
}
