// Who tells tasks what they wait for. Nobody does under the lock: whoever lets it go tells what there is. Of answers
// that came together the loop tells one, and the task that is told tells some of the rest: its thread is commonly
// libdispatch's, and resumes others with the memory of jobs that have run, where the loop's allocates for each
// (docs/decisions/0031).

internal import Glibc
internal import Synchronization

/// A task that waits, and what it is to be told.
typealias Resumption = (UnsafeContinuation<Word, Never>, Word)

extension Channel {
  /// Most answers that one task tells besides its own: so it does not wait long for the others' sake.
  static var helpMax: Int { 16 }

  /// How long the loop leaves to tasks what they could tell: the first may have to wait for its thread.
  static var helpWithin: Duration { .milliseconds(1) }

  func lock() { pthread_mutex_lock(mutex) }

  /// Lets the lock go, and tells what there is to tell.
  func unlock() {
    if resumptions.isEmpty {
      pthread_mutex_unlock(mutex)
      return
    }
    if resumptions.count == 1, let (continuation, word) = resumptions.popFirst() {
      // The commonest case keeps the queue's memory.
      pthread_mutex_unlock(mutex)
      continuation.resume(returning: word)
      return
    }
    var told = RingQueue<Resumption>()
    swap(&told, &spareResumptions)
    swap(&told, &resumptions)
    pthread_mutex_unlock(mutex)
    resume(&told)
  }

  /// Without the lock. Keeps the queue's memory.
  private func resume(_ told: inout RingQueue<Resumption>) {
    while let (continuation, word) = told.popFirst() { continuation.resume(returning: word) }
    lock()
    swap(&told, &spareResumptions)
    pthread_mutex_unlock(mutex)
  }

  /// As `unlock`, of whoever may hold a lock of the user's, or of the runtime's on a task: whom to resume is left to
  /// the loop. To resume a task waits for whoever cancels it, and so for the locks that its handlers want.
  func unlockLeaving() {
    guard loop != nil else { return unlock() }
    if !resumptions.isEmpty { ring() }
    pthread_mutex_unlock(mutex)
  }

  /// As `unlock`, of the loop: of what came together it tells one task, and leaves the rest to those that are told, for
  /// `helpWithin` altogether.
  ///
  /// While something is left, a task that was told has yet to help, or has been too long about it: the loop tells one
  /// as it begins to leave, and whoever helps and does not empty what is left tells others.
  func unlockSharing() {
    if left.isEmpty {
      guard loop != nil, resumptions.count > 1, helpBackOff.isOver(),
        let (continuation, word) = resumptions.popFirst()
      else { return unlock() }
      swap(&left, &resumptions)
      leftDeadline = .after(Self.helpWithin)
      pthread_mutex_unlock(mutex)
      return continuation.resume(returning: word)
    }
    if loop != nil, Moment.now < leftDeadline {
      leaveMore()
      pthread_mutex_unlock(mutex)
      return
    }
    helpBackOff.failed()
    unlockLeft()
  }

  /// What is to be told waits behind what is left.
  private func leaveMore() {
    while let one = resumptions.popFirst() { left.append(one) }
  }

  /// As `unlock`, of the loop; tells what is left first.
  func unlockLeft() {
    if !left.isEmpty {
      leaveMore()
      swap(&left, &resumptions)
      leftDeadline = .distantFuture
    }
    unlock()
  }

  /// Of a task that was told, or is about to wait: tells some of what the loop has left.
  ///
  /// Only there: a task holds no lock where it waits, and whoever gives a permit back or cancels may
  /// (`unlockLeaving`).
  func help() {
    guard leftDeadline != .distantFuture, !isForked else { return }
    lock()
    guard !left.isEmpty else {
      pthread_mutex_unlock(mutex)
      return
    }
    var told = RingQueue<Resumption>()
    swap(&told, &spareResumptions)
    if left.count <= Self.helpMax {
      swap(&told, &left)
      leftDeadline = .distantFuture
      helpBackOff.succeeded()
    } else {
      while told.count < Self.helpMax, let one = left.popFirst() { told.append(one) }
    }
    pthread_mutex_unlock(mutex)
    resume(&told)
  }

  /// Of a task that is about to ask: helps where the loop should have told by now. It may be held up by a cancellation
  /// handler of a task that it resumes.
  func helpIfOverdue() {
    let deadline = leftDeadline
    if deadline != .distantFuture, Moment.now >= deadline { help() }
  }

  /// By when the loop tells what is left; `distantFuture` where nothing is. Set under the lock.
  var leftDeadline: Moment {
    get { Moment(nanoseconds: leftUntil.load(ordering: .relaxed)) }
    set { leftUntil.store(newValue.nanoseconds, ordering: .relaxed) }
  }
}
