// An event loop as other threads see it: a mailbox, and counters.

import LimitSystem
import Synchronization

/// Shared between an event loop and whoever gives it work. Any thread.
final class LoopHandle: Sendable {
  enum Message: Sendable {
    /// A connection, non-blocking, whose owner the loop becomes.
    case connection(descriptor: Int32, Peer)
    /// Decide by these rules from the next turn on.
    case rulebook(Rulebook)
    /// Read what has arrived, answer it, close, and end.
    case stop
  }

  private let mail = Locked<[Message]>([])
  let wakeUp: WakeUp
  /// Connections given to the loop and not closed yet. Written by the acceptor (up) and the loop
  /// (down); publishes nothing, so relaxed: it only tells the acceptor which loop has fewest.
  let connectionCount = Atomic<Int>(0)
  /// Queries that the loop has decided. Written by the loop; publishes nothing, so relaxed.
  let decisionCount = Atomic<UInt64>(0)
  /// The generation of the rulebook that the loop decides by. Written by the loop after it let go
  /// of the one before; releasing, for whoever waits for that (acquiring).
  let generation = Atomic<UInt32>(0)

  init() throws(SystemError) { wakeUp = try WakeUp() }

  func send(_ message: Message) {
    mail.withLock { $0.append(message) }
    wakeUp.ring()
  }

  /// All messages so far, oldest first.
  func take() -> [Message] {
    mail.withLock { messages in
      defer { messages.removeAll(keepingCapacity: true) }
      return messages
    }
  }
}
