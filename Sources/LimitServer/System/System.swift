// What the server asks of Linux, in one place: descriptors, errors, the clock, threads, locks.

import CLinux
import Glibc
import LimitEngine

/// The number of a failed system call, with the system's text.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
  public let number: Int32

  /// The error of the call that has just failed on this thread.
  static func last() -> SystemError { SystemError(number: errno) }

  public init(number: Int32) { self.number = number }

  public var description: String { String(cString: strerror(number)) }
}

/// A file descriptor that is closed with its owner.
struct Descriptor: ~Copyable {
  let number: Int32

  /// - Parameter number: what a system call returned; -1 stands for its failure.
  init(_ number: Int32) throws(SystemError) {
    guard number >= 0 else { throw .last() }
    self.number = number
  }

  deinit { close(number) }
}

/// Engine time: nanoseconds since boot, time asleep included. A stepped wall clock does not move
/// it, and it goes on through restarts of the daemon.
@inline(__always) func bootClock() -> Instant {
  var time = timespec()
  clock_gettime(CLOCK_BOOTTIME, &time)
  return Instant(
    nanoseconds: UInt64(bitPattern: Int64(time.tv_sec)) &* 1_000_000_000
      &+ UInt64(bitPattern: Int64(time.tv_nsec)))
}

/// A value behind a lock, for what happens per connection or more rarely. ThreadSanitizer
/// understands this lock, and not the standard library's `Mutex`.
final class Locked<Value>: @unchecked Sendable {
  private var value: Value
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  init(_ value: Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }
}

/// A thread that is waited for.
final class Thread: Sendable {
  private final class Work {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  private let thread: pthread_t

  /// - Parameter name: shown by `ps` and `top`; at most 15 bytes.
  init(named name: String, _ body: sending @escaping () -> Void) {
    let work = Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, work.toOpaque())
    precondition(status == 0, "the daemon's threads are made at its start: \(status)")
    pthread_setname_np(thread, name)
    self.thread = thread
  }

  /// Waits for the end of `body`. Once.
  func join() { pthread_join(thread, nil) }
}
