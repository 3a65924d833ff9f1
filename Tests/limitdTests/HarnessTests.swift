// The tools of the other tests do what they say.

import DaemonSupport
import Glibc
import Testing

extension DaemonTests {
  @Suite struct HarnessTests {
    @Test("A daemon starts, answers, and ends when it is told to")
    func life() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      #expect(try peer.decide(Request.query("acme", "few")).remaining == 4)
      #expect(daemon.residentBytes > 1 << 20)
      #expect(daemon.descriptorCount > 3)
      #expect(daemon.threadCount > 1)
      let end = try daemon.stop()
      #expect(end.code == 0, "\(daemon.brief)")
      #expect(try peer.receiveToEnd().map(\.errorCode) == [14])
    }

    @Test("A daemon that cannot start is told with its log")
    func badStart() throws {
      let daemon = try TestDaemon(starts: false)
      try daemon.write(policy: "limits: {}")
      #expect {
        try daemon.start()
      } throws: {
        ($0 as? DaemonEnded)?.log.contains("limitd.yaml:1:9") ?? false
      }
    }

    @Test("A peer connects as another user, and the thread is its own user again", .needsRoot)
    func otherUser() throws {
      let daemon = try TestDaemon {
        $0.settings = """
            socket: {path: unused, mode: 0666}
            access: [{user: \(Host.otherUser), roles: [query]}]
          """
      }
      let roles = { (reply: Reply) in reply.bytes[32] }
      let other = try Peer(daemon.socketPath, user: Host.otherUser)
      #expect(try roles(other.greet()) == 1)
      #expect(try roles(Peer(daemon.socketPath).greet()) == 15)
      #expect(geteuid() == 0)
    }

    @Test("Limits of descriptors and of memory reach the daemon")
    func limits() throws {
      let daemon = try TestDaemon {
        $0.descriptorsSoft = 500
        $0.descriptorsHard = 500
      }
      #expect(daemon.descriptorLimit == 500)
    }
  }
}
