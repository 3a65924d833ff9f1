// What reaches the service manager: a datagram socket of the test stands where systemd's would.
//
// Where to tell is in the environment, which is the whole process's: one test at a time.

import Glibc
import LimitSystem
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

    @Test func aManagerThatDoesNotReadIsNotWaitedFor() throws {
      let manager = try FakeManager()
      defer { manager.end() }
      var told = 0
      // As many as its queue holds: /proc/sys/net/unix/max_dgram_qlen.
      while told < 100_000, ServiceManager.tell(.alive) { told += 1 }
      #expect(told > 0 && told < 100_000)
      let clock = ContinuousClock()
      let took = clock.measure { #expect(!ServiceManager.tell(.stopping)) }
      #expect(took < .seconds(1))
      _ = manager.next()
      #expect(ServiceManager.tell(.stopping))
    }

    @Test func aManagerMayHaveANameThatIsNoPath() throws {
      let name = "limitd-tests-\(getpid())"
      let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      defer { close(socket) }
      try #require(SocketAddress.with(abstractName: name) { bind(socket, $0, $1) } == 0)
      setenv("NOTIFY_SOCKET", "@\(name)", 1)
      defer { unsetenv("NOTIFY_SOCKET") }
      #expect(ServiceManager.tell(.ready))
      var bytes = [UInt8](repeating: 0, count: 64)
      let count = recv(socket, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      #expect(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) == "READY=1")
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
