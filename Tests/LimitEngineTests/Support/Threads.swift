// Real threads that start together.

import Glibc
import Synchronization

private final class Work: Sendable {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Runs `body(number)` on `count` threads, which begin at the same time, and waits for all.
func runThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let gate = Gate(count)
  let threads = (0..<count).map { number in
    let work = Unmanaged.passRetained(
      Work {
        gate.wait()
        body(number)
      })
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, work.toOpaque())
    precondition(status == 0, "pthread_create failed with \(status)")
    return thread
  }
  for thread in threads { pthread_join(thread, nil) }
}

/// Lets threads through once all of them are there.
final class Gate: Sendable {
  private let missing: Atomic<Int>

  init(_ count: Int) { missing = Atomic(count) }

  func wait() {
    missing.subtract(1, ordering: .acquiringAndReleasing)
    // Spinning first, so that threads with a processor each start within nanoseconds.
    var turns = 0
    while missing.load(ordering: .acquiring) > 0 {
      turns += 1
      if turns > 2_000 { sched_yield() }
    }
  }
}
