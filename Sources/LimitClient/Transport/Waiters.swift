// Who waits for an answer: a thread, a task, or a batch of either. Guarded by their channel's lock.

internal import Glibc
internal import LimitProtocol

/// Whoever an answer goes to.
enum Waiter {
  case thread(ThreadWaiter)
  case task(TaskWaiter)
  /// The task that looks for its answer itself: its channel keeps the word (Channel+Looking).
  case looker
  /// The answer is that to these items.
  case batch(BatchCollector, Range<Int>)
}

/// What a waiter is told. Values but for the answer to a batch frame, which no waiter gets to see:
/// its collector has read it then.
enum Word: @unchecked Sendable {
  case answer(Answer)
  /// The connection has been greeted, or could be tried again: ask.
  case ready
  /// A batch got further.
  case progress
}

/// A thread that waits, on a condition of its own. Used again for other threads.
final class ThreadWaiter {
  var word: Word?
  /// Neighbours in the queue of threads that are parked.
  var next: ThreadWaiter?
  unowned(unsafe) var previous: ThreadWaiter?
  var isParked = false
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init() {
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    condition.deallocate()
  }

  func wake() { pthread_cond_signal(condition) }

  /// Lets the lock go until it is woken, or the deadline; may also wake for nothing.
  func sleep(_ mutex: UnsafeMutablePointer<pthread_mutex_t>, until deadline: Moment) {
    var time = deadline.timespecValue
    pthread_cond_timedwait(condition, mutex, &time)
  }
}

/// A task that waits.
struct TaskWaiter {
  /// Tells the calls of a channel apart, for cancellations.
  let number: UInt64
  let continuation: UnsafeContinuation<Word, Never>
  let deadline: Moment
}
