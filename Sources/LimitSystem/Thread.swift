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
}
