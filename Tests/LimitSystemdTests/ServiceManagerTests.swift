// What reaches the service manager: a datagram socket of the test stands where systemd's would.
//
// sd_notify(3) reads the environment, which is the whole process's: one test at a time.

import Glibc
import LimitSystemd
import TestSupport
import Testing

extension EnvironmentTests {
  @Suite struct ServiceManagerTests {
    @Test func whatIsToldTogetherArrivesTogether() throws {
      let manager = try FakeManager()
      defer { manager.end() }
      #expect(ServiceManager.tell(.ready, .status("12 tenants")))
      #expect(manager.next() == "READY=1\nSTATUS=12 tenants")
    }

    @Test(arguments: [
      (ServiceNotice.ready, "READY=1"),
      (.reloading(monotonicMicroseconds: 17), "RELOADING=1\nMONOTONIC_USEC=17"),
      (.stopping, "STOPPING=1"),
      (.status("two\nlines\r\nof text"), "STATUS=two lines of text"),
      (.alive, "WATCHDOG=1"),
      (.extendTimeout(microseconds: 5_000_000), "EXTEND_TIMEOUT_USEC=5000000"),
    ])
    func eachNoticeIsAnAssignmentThatSystemdKnows(notice: ServiceNotice, text: String) throws {
      let manager = try FakeManager()
      defer { manager.end() }
      #expect(ServiceManager.tell(notice))
      #expect(manager.next() == text)
    }

    @Test func withoutAManagerNothingHappens() throws {
      unsetenv("NOTIFY_SOCKET")
      #expect(!ServiceManager.tell(.ready))
    }

    @Test func aManagerThatIsGoneIsNoError() throws {
      let manager = try FakeManager()
      defer { manager.end() }
      unlink(manager.path)
      #expect(!ServiceManager.tell(.ready))
    }

    @Test func theWatchdogIsForTheProcessThatItNames() {
      defer {
        unsetenv("WATCHDOG_USEC")
        unsetenv("WATCHDOG_PID")
      }
      #expect(ServiceManager.watchdogMicroseconds() == nil)
      setenv("WATCHDOG_USEC", "3000000", 1)
      #expect(ServiceManager.watchdogMicroseconds() == 3_000_000)
      setenv("WATCHDOG_PID", "\(getpid())", 1)
      #expect(ServiceManager.watchdogMicroseconds() == 3_000_000)
      setenv("WATCHDOG_PID", "1", 1)
      #expect(ServiceManager.watchdogMicroseconds() == nil)
    }
  }
}
