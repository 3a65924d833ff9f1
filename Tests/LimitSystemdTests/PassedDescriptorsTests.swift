// Descriptors by name. What sd_listen_fds(3) makes of the environment is shown with the real daemon
// under a real systemd; here it says only what is not for this process.

import Glibc
import Testing

@testable import LimitSystemd

extension EnvironmentTests {
  @Suite struct PassedDescriptorsTests {
    @Test func descriptorsAreFoundByNameInWhateverOrderTheyCame() throws {
      let numbers = (0..<3).map { _ in dup(STDERR_FILENO) }
      var passed = PassedDescriptors([
        ("metrics", numbers[0]), ("decision", numbers[1]), ("decision", numbers[2]),
      ])
      #expect(passed.take(named: "decision") == [numbers[1], numbers[2]])
      #expect(passed.take(named: "decision") == [])
      #expect(passed.names == ["metrics"])
      for number in numbers.dropFirst() { close(number) }
    }

    @Test func whatNobodyTakesIsClosed() throws {
      var ends: [Int32] = [0, 0]
      try #require(pipe(&ends) == 0)
      defer { close(ends[0]) }
      do { _ = PassedDescriptors([("unknown", ends[1])]) }
      // The other end of the pipe reads its end: nobody has it open any more.
      var byte: UInt8 = 0
      #expect(read(ends[0], &byte, 1) == 0)
    }

    @Test func whatIsPassedToAnotherProcessIsNotOurs() throws {
      setenv("LISTEN_PID", "1", 1)
      setenv("LISTEN_FDS", "1", 1)
      let passed = try PassedDescriptors.take()
      #expect(passed.names == [])
      #expect(getenv("LISTEN_FDS") == nil)
    }
  }
}
