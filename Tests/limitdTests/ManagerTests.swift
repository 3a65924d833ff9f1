// What systemd hears of a daemon's life: a datagram socket of the test stands in its place.

import DaemonSupport
import Foundation
import Glibc
import TestSupport
import Testing

extension DaemonTests {
  @Suite struct ManagerTests {
    /// The next message that says something other than how the daemon does; none: in vain.
    private func next(_ manager: FakeManager) -> [String] {
      // How it does is told every 5 s.
      for _ in 0..<4 {
        guard let message = manager.next() else { break }
        let told = message.components(separatedBy: "\n").filter { !$0.hasPrefix("STATUS=") }
        if !told.isEmpty { return told }
      }
      return []
    }

    private func monotonicMicroseconds() -> UInt64 {
      var time = timespec()
      clock_gettime(CLOCK_MONOTONIC, &time)
      return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
    }

    @Test("A start, reloads of a good and of a bad file, and the end are told, in their order")
    func life() throws {
      let manager = try FakeManager(inEnvironment: false)
      defer { manager.end() }
      let daemon = try TestDaemon {
        $0.wrapper = ["/usr/bin/env", "NOTIFY_SOCKET=\(manager.path)"]
      }
      #expect(next(manager) == ["EXTEND_TIMEOUT_USEC=120000000"])
      #expect(next(manager) == ["READY=1"])
      for policy in [DaemonOptions.defaultPolicy, "limits: 7"] {
        let before = monotonicMicroseconds()
        try daemon.reload(policy: policy)
        let begun = next(manager)
        #expect(begun.first == "RELOADING=1" && begun.count == 2, "\(begun)")
        let time = begun.last.flatMap { UInt64($0.trimmingPrefix("MONOTONIC_USEC=")) } ?? 0
        #expect(before <= time && time <= monotonicMicroseconds(), "\(begun)")
        #expect(next(manager) == ["READY=1"])
      }
      #expect(try daemon.stop().code == 0)
      #expect(next(manager) == ["STOPPING=1"])
    }
  }
}
