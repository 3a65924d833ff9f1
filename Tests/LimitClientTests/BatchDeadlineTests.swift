// What a batch still does when its time is up.

import DaemonSupport
import Foundation
import Glibc
import LimitSystem
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct BatchDeadlineTests {
    /// Counts the work of the calling thread, not the time: others on the machine make it late, but not
    /// work more.
    @Test func littleIsDoneAfterTheDeadline() throws {
      let daemon = try TestDaemon()
      let client = BlockingLimitClient(.test(daemon.socketPath))
      _ = try client.check(tenant: "acme", policy: "many")
      daemon.pause()
      defer { daemon.signal(SIGCONT) }
      let queries = (0..<400_000).map { _ in LimitQuery(tenant: "acme", policy: "many") }
      var clock = clockid_t()
      pthread_getcpuclockid(pthread_self(), &clock)
      let callers = clock
      let atDeadline = Locked(0.0)
      let isNoted = DispatchSemaphore(value: 0)
      let deadline = Moment.after(.seconds(1))
      Thread.detachNewThread {
        Moment.sleep(until: deadline)
        let worked = clockSeconds(callers)
        atDeadline.withLock { $0 = worked }
        isNoted.signal()
      }
      let results = client.batch(queries, CallOptions(timeout: .seconds(1)))
      let worked = clockSeconds(callers)
      isNoted.wait()
      #expect(results.count == queries.count)
      #expect(worked - atDeadline.withLock { $0 } < 0.08)
    }
  }
}
