// A wake-up call for a thread that sleeps in epoll.

import CLinux
import Glibc

/// An event counter of the kernel (eventfd). Any thread may `ring`; the sleeper answers.
package struct WakeUp: ~Copyable, Sendable {
  private let counter: Descriptor

  package init() throws(SystemError) {
    counter = try Descriptor(eventfd(0, Int32(bitPattern: 0o2004000)))
  }

  package var descriptor: Int32 { counter.number }

  /// Wakes the sleeper, now or when it next goes to sleep.
  package func ring() {
    var one: UInt64 = 1
    // Fails only where the counter is full, and then the sleeper is woken anyway.
    _ = write(counter.number, &one, 8)
  }

  /// Takes all rings so far.
  package func answer() {
    var rings: UInt64 = 0
    _ = read(counter.number, &rings, 8)
  }
}
