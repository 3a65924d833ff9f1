// Whether this process is the one that made a client. Any thread.

internal import Glibc
internal import Synchronization

/// fork(2) copies a client's memory and descriptors, but not its threads: two processes would speak
/// on one connection. So a client knows in which process it was made.
enum ForkGuard {
  /// Relaxed: a process that forks has one thread then, and it sees what it wrote.
  private static let forks = Atomic<Int>(0)

  private static let isInstalled: Bool = {
    pthread_atfork(nil, nil) { forks.wrappingAdd(1, ordering: .relaxed) }
    return true
  }()

  /// Changes with every fork, in the child.
  static var generation: Int {
    _ = isInstalled
    return forks.load(ordering: .relaxed)
  }
}
