// What reaches the service manager: a datagram socket of the test stands where systemd's would.
//
// sd_notify(3) reads the environment, which is the whole process's: one test at a time.

import Glibc
import LimitSystemd
import Testing

extension EnvironmentTests {
  @Suite struct ServiceManagerTests {
    @Test func whatIsToldTogetherArrivesTogether() throws {
      let manager = try FakeManager()
      defer { manager.end() }
      #expect(ServiceManager.tell(.ready, .status("12 tenants")))
      #expect(manager.next()?.text == "READY=1\nSTATUS=12 tenants")
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
      #expect(manager.next()?.text == text)
    }

    @Test func withoutAManagerNothingHappens() throws {
      unsetenv("NOTIFY_SOCKET")
      #expect(!ServiceManager.tell(.ready))
      #expect(!DescriptorStore.remove(named: "table"))
      #expect(try !DescriptorStore.push(STDIN_FILENO, named: "table"))
    }

    @Test func aManagerThatIsGoneIsNoError() throws {
      let manager = try FakeManager()
      defer { manager.end() }
      unlink(manager.path)
      #expect(!ServiceManager.tell(.ready))
    }

    @Test func aDescriptorGoesToTheStoreUnderItsName() throws {
      let manager = try FakeManager()
      defer { manager.end() }
      var ends: [Int32] = [0, 0]
      try #require(pipe(&ends) == 0)
      defer { for end in ends { close(end) } }
      #expect(try DescriptorStore.push(ends[1], named: "table"))
      let message = try #require(manager.next())
      #expect(message.text == "FDSTORE=1\nFDNAME=table\nFDPOLL=0")
      let stored = try #require(message.descriptor)
      defer { close(stored) }
      // The same pipe: what is written into the copy comes out of the other end.
      #expect(write(stored, "x", 1) == 1)
      var byte: UInt8 = 0
      #expect(read(ends[0], &byte, 1) == 1)
      #expect(byte == UInt8(ascii: "x"))
    }

    @Test func theStoreForgetsAName() throws {
      let manager = try FakeManager()
      defer { manager.end() }
      #expect(DescriptorStore.remove(named: "table"))
      #expect(manager.next()?.text == "FDSTOREREMOVE=1\nFDNAME=table")
    }

    @Test func whatCannotBeStoredIsAnError() throws {
      let manager = try FakeManager()
      defer { manager.end() }
      #expect(throws: (any Error).self) { try DescriptorStore.push(-1, named: "table") }
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
