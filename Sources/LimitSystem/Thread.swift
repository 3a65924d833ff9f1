// Threads with a name.

import CLinux
import Glibc
import Synchronization

/// A thread that may be waited for. Whoever holds it may join it, once; what nobody holds any more leaves
/// nothing behind when it ends, which an unjoined thread else does: its stack.
package final class Thread: Sendable {
  private final class Work {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  private let thread: pthread_t
  /// Relaxed: whoever lets the last reference go has seen what others did with theirs.
  private let isJoined = Atomic<Bool>(false)

  /// What a thread's work is to the rest of the process.
  package enum Urgency: Sendable {
    case ordinary
    /// Somebody waits for it who can wait: see `standBack`.
    case background
  }

  /// The nice value of background work: a tenth of the weight of an ordinary thread.
  private static let backgroundNice: Int32 = 10

  /// Has the calling thread wait, from now on, for those of this host that want its processor; where they
  /// want all of it, it gets about a tenth. For good: without privileges there is no way back.
  ///
  /// A lock that such a thread has may be waited for: it is to hold those that event loops take for no more
  /// than a few instructions. Where a sandbox forbids it, or the process is nicer already, nothing changes.
  package static func standBack() { _ = limitd_set_nice(backgroundNice) }

  /// - Parameters:
  ///   - name: shown by `ps` and `top`; at most 15 bytes.
  ///   - urgency: of all that it does.
  package init(
    named name: String, _ urgency: Urgency = .ordinary, _ body: sending @escaping () -> Void
  ) throws(SystemError) {
    let work = Unmanaged.passRetained(
      Work {
        if urgency == .background { Self.standBack() }
        body()
      })
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
  package func join() {
    isJoined.store(true, ordering: .relaxed)
    pthread_join(thread, nil)
  }

  deinit { if !isJoined.load(ordering: .relaxed) { pthread_detach(thread) } }

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
      let thread = try? Thread(named: name) { body(number) }
      if let thread {
        threads.append(thread)
      } else {
        rest.append(number)
      }
    }
    for number in rest { body(number) }
    for thread in threads { thread.join() }
  }
}
