// The end of a daemon that is busy: what it received is answered, and nothing holds it up.

import DaemonSupport
import Foundation
import Glibc
import TestSupport
import Testing

extension DaemonTests {
  @Suite struct ShutdownTests {
    /// What a daemon promises; it takes some 0.2 s.
    static let endSecondsMax = 2.0

    @Test("Every query that was sent before the end is answered, then the end is said")
    func answersAll() throws {
      let daemon = try TestDaemon()
      let peers = try (0..<20).map { _ in try daemon.peer() }
      for peer in peers {
        try peer.bind(0, "acme", "many")
        try peer.send((1...500).flatMap { Request.query(id: $0) })
      }
      daemon.signal(SIGTERM)
      for peer in peers {
        let replies = try peer.receiveToEnd()
        #expect(replies.dropLast().map(\.id) == Array(1...500))
        #expect(replies.last?.errorCode == 14 && replies.last?.id == 0)
      }
      let end = try daemon.waitForEnd()
      #expect(end.code == 0)
      #expect(end.seconds < Self.endSecondsMax, "it took \(end.seconds) s")
    }

    @Test("Under load, what is decided is answered: the daemon's count is the clients'")
    func underLoad() throws {
      let daemon = try TestDaemon()
      let answered = Tally(2)
      let door = daemon.door
      try withBackground(6) { background, _ in
        let peer = try door.peer()
        try peer.bind(0, "acme", "many")
        let requests = (0..<100).flatMap { Request.query(id: $0) }
        var (sent, received) = (0, 0)
        do {
          while true {
            try peer.send(requests)
            sent += 100
            while received < sent {
              guard let reply = try peer.receive(), reply.id == UInt32(received % 100) else {
                break
              }
              received += 1
              answered.add(1)
            }
            if received < sent { return }
            background.didRound()
          }
        } catch {
          // A write that fails: what it wrote is served as far as it is answered.
          while let reply = try peer.receive() {
            if reply.decision != nil { answered.add(1) }
          }
        }
      } during: { background in
        try wait(for: "load") { background.roundCount > 100 }
        let end = try daemon.stop()
        #expect(end.code == 0)
        #expect(end.seconds < Self.endSecondsMax, "it took \(end.seconds) s")
      }
      #expect(answered.counts[0] > 10_000)
      #expect(daemon.decisionsSaid == answered.counts[0], "\(daemon.brief)")
    }

    @Test("A flood of connects does not hold up the end")
    func connectFlood() throws {
      let daemon = try TestDaemon()
      let door = daemon.door
      let end = try withBackground(4) { background, _ in
        while !background.isOver {
          if let peer = try? door.silentPeer(timeoutSeconds: 1) { peer.close() }
          background.didRound()
        }
      } during: { background in
        try wait(for: "the flood") { background.roundCount > 1000 }
        return try daemon.stop()
      }
      #expect(end.code == 0)
      #expect(end.seconds < Self.endSecondsMax, "it took \(end.seconds) s")
    }

    @Test("A reload of a file of 100 MB is abandoned at the end, and clients are served meanwhile")
    func duringReload() throws {
      let daemon = try TestDaemon()
      try daemon.write(policy: LargePolicy.text(bytes: 100_000_000))
      let peer = try daemon.peer()
      daemon.signal(SIGHUP)
      usleep(500_000)
      #expect(try peer.decide(Request.query("acme", "many")).isAllowed)
      #expect(daemon.reloadCount == 0, "the file is read already: make it larger")
      let end = try daemon.stop()
      #expect(end.code == 0)
      #expect(end.seconds < Self.endSecondsMax, "it took \(end.seconds) s")
    }

    @Test("A peer that reads nothing does not hold up the end")
    func stalledPeers() throws {
      let daemon = try TestDaemon { $0.settings = "  limits: {stall-timeout: 10m}" }
      let peers = try (0..<50).map { _ in try daemon.peer() }
      for peer in peers {
        try peer.bind(0, "acme", "many")
        let requests = (0..<200).flatMap { Request.query(id: $0) }
        for _ in 0..<100 where try peer.sendSome(requests) == 0 { break }
      }
      let end = try daemon.stop()
      #expect(end.code == 0)
      #expect(end.seconds < Self.endSecondsMax, "it took \(end.seconds) s")
    }

    @Test("A disk that hangs in the last snapshot does not hold up the end, nor does a large table")
    func hangingDisk() throws {
      let disk = try FaultyDisk()
      let daemon = try TestDaemon {
        $0.wrapper = disk.wrapper(forPathsWith: "snapshot")
        // 512 MB that the kernel takes apart when the process ends.
        $0.hasLiveState = false
        $0.settings = "  table: {key-slots: 16M}"
      }
      #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
      try disk.set("write hang")
      let end = try daemon.stop()
      #expect(end.code == 0)
      #expect(end.seconds < Self.endSecondsMax, "it took \(end.seconds) s")
      #expect(daemon.log.contains("the last snapshot was not finished in time"))
    }

    @Test(
      "A disk that hangs, a log and a manager that do not read, floods, peers that read nothing")
    func everythingAtOnce() throws {
      let disk = try FaultyDisk()
      let pipe = try FullPipe()
      let folder = try TemporaryFolder()
      defer { folder.remove() }
      let manager = "\(folder.path)/notify"
      let ends = try Self.fullQueue(manager)
      defer { for end in ends { close(end) } }
      let daemon = try TestDaemon.forAdministrators {
        $0.wrapper = disk.wrapper(forPathsWith: "snapshot") + ["NOTIFY_SOCKET=\(manager)"]
        $0.standardError = pipe.writing
        $0.settings += "  limits: {stall-timeout: 10m}\n"
      }
      let door = daemon.door
      let requests = (0..<200).flatMap { Request.query(id: $0) }
      let stalled = try (0..<20).map { _ in try daemon.peer() }
      for peer in stalled {
        try peer.bind(0, "acme", "many")
        for _ in 0..<100 where try peer.sendSome(requests) == 0 { break }
      }
      try disk.set("write hang")
      let end = try withBackground(6) { background, number in
        while !background.isOver {
          if number < 2 {
            if let peer = try? door.silentPeer(timeoutSeconds: 1) { peer.close() }
            background.didRound()
            continue
          }
          let peer = try door.peer()
          try peer.bind(0, "acme", "many")
          while !background.isOver {
            try peer.send(requests)
            for _ in 0..<200 { guard try peer.receive() != nil else { return } }
            background.didRound()
          }
        }
      } during: { background in
        try wait(for: "the flood") { background.roundCount > 1000 }
        return try daemon.stop()
      }
      #expect(end.code == 0)
      #expect(end.seconds < Self.endSecondsMax, "it took \(end.seconds) s")
    }

    /// A datagram socket at a path, which takes no more, and one that is connected to it.
    private static func fullQueue(_ path: String) throws -> [Int32] {
      let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
      let ends = (0..<2).map { _ in socket(AF_UNIX, kind, 0) }
      try #require(withSocketAddress(of: path) { bind(ends[0], $0, $1) } == 0)
      try #require(withSocketAddress(of: path) { connect(ends[1], $0, $1) } == 0)
      while send(ends[1], "x", 1, 0) == 1 {}
      return ends
    }

    @Test("A second signal during the end changes nothing")
    func twice() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      daemon.signal(SIGTERM)
      daemon.signal(SIGINT)
      daemon.signal(SIGHUP)
      daemon.signal(SIGTERM)
      let end = try daemon.waitForEnd()
      #expect(end.code == 0)
      #expect(end.seconds < Self.endSecondsMax, "it took \(end.seconds) s")
      #expect(try peer.receiveToEnd().map(\.errorCode) == [14])
      #expect(!FileManager.default.fileExists(atPath: daemon.socketPath))
    }
  }
}

/// A policy file of any size.
enum LargePolicy {
  /// The default policy with as many tenants more as the size takes.
  static func text(bytes: Int) -> String {
    var text = DaemonOptions.defaultPolicy + "\n"
    text.reserveCapacity(bytes + 200)
    var number = 0
    while text.utf8.count < bytes {
      text += "  tenant-\(number): {limits: {few: {rate: \(number % 977 + 1)/s, "
      text += "burst: \(number + 1)}, budget: {limit: \(number + 1)}}}\n"
      number += 1
    }
    return text
  }
}

extension TestDaemon {
  /// How many decisions the daemon says at its end that it made.
  var decisionsSaid: Int? {
    log.components(separatedBy: "decisions=").dropFirst().last
      .map { $0.prefix { $0.isNumber } }.flatMap { Int($0) }
  }
}
