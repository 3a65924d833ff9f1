// The connections of a blocking client, each used by one thread at a time. Any thread.

internal import Glibc

/// Lends links to threads.
final class LinkPool: PermitOwner, @unchecked Sendable {
  private let links: [Link]
  /// Guarded by `mutex`, as are the links that are not lent.
  private var free: [Int]
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  /// Signalled when a link comes back. On CLOCK_MONOTONIC.
  private let returned = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let callTimeout: Duration

  init(_ configuration: ClientConfiguration) {
    let count = max(1, configuration.connectionCount)
    links = (0..<count).map { Link(configuration, number: $0) }
    free = Array(0..<count)
    callTimeout = configuration.callTimeout
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(returned, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(returned)
    pthread_mutex_destroy(mutex)
    returned.deallocate()
    mutex.deallocate()
  }

  /// Asks everything on one link, within the call timeout.
  func perform(_ calls: inout [Call]) {
    let deadline = Moment.after(callTimeout)
    guard let number = borrow(nil, until: deadline) else {
      for place in calls.indices { calls[place].result = .failure(.timedOut) }
      return
    }
    links[number].perform(&calls, until: deadline)
    giveBack(number)
  }

  /// Sends a release, unless the connection is busy for longer than a call may take: then it was
  /// lost, or will be, and the daemon takes the permit back.
  func release(_ permit: OwnedPermit) {
    guard let number = borrow(permit.connection, until: .after(callTimeout)) else { return }
    links[number].release(permit)
    giveBack(number)
  }

  /// - Parameter wanted: a certain link; nil for any.
  private func borrow(_ wanted: Int?, until deadline: Moment) -> Int? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let place = wanted.map({ wanted in free.firstIndex(of: wanted) }) ?? free.indices.last {
        return free.remove(at: place)
      }
      var time = deadline.timespecValue
      if pthread_cond_timedwait(returned, mutex, &time) == ETIMEDOUT { return nil }
    }
  }

  private func giveBack(_ number: Int) {
    pthread_mutex_lock(mutex)
    free.append(number)
    // Each waiter may want another link.
    pthread_cond_broadcast(returned)
    pthread_mutex_unlock(mutex)
  }
}
