// Threads with a name.

import CLinux
import Glibc

/// A thread that may be waited for. Whoever holds it may join it, once.
package final class Thread: Sendable {
  private final class Work {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  private let thread: pthread_t

  /// - Parameter name: shown by `ps` and `top`; at most 15 bytes.
  package init(named name: String, _ body: sending @escaping () -> Void) throws(SystemError) {
    let work = Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, work.toOpaque())
    guard status == 0 else {
      work.release()
      throw SystemError(number: status)
    }
    pthread_setname_np(thread, name)
    self.thread = thread
  }

  /// Waits for the end of `body`. Once.
  package func join() { pthread_join(thread, nil) }

  /// Processors that this process may run on, at least 1.
  package static var processorCount: Int { max(1, Int(limitd_processor_count())) }

  /// Runs `body` for each number below `count` at the same time, and returns when all have ended:
  /// number 0 on the calling thread, each other on one of its own, or here where none can be made.
  ///
  /// - Parameter name: of the threads; at most 15 bytes.
  package static func concurrently(
    _ count: Int, named name: String, _ body: @escaping @Sendable (Int) -> Void
  ) {
    var threads: [Thread] = []
    var rest = [0]
    for number in 1..<max(1, count) {
      if let thread = try? Thread(named: name, { body(number) }) {
        threads.append(thread)
      } else {
        rest.append(number)
      }
    }
    for number in rest { body(number) }
    for thread in threads { thread.join() }
  }
}
