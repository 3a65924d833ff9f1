// A state directory whose disk fails, and a tmpfs that is full: decisions go on or the start says
// why; what was written before stays.

import DaemonSupport
import Foundation
import Glibc
import TestSupport
import Testing

extension DaemonTests {
  @Suite struct FaultTests {
    private func contents(_ daemon: TestDaemon) -> [Data?] {
      [1, 2].map { try? Data(contentsOf: URL(filePath: "\(daemon.statePath)/snapshot.\($0)")) }
    }

    /// Whether limitctl finds a generation whole.
    private func isSound(_ daemon: TestDaemon, _ number: Int) throws -> Bool {
      let path = "\(daemon.statePath)/snapshot.\(number)"
      return try run("\(TestDaemon.folder)/limitctl", ["snapshot", "verify", path]).code == 0
    }

    private func occurrences(of text: String, in log: String) -> Int {
      log.components(separatedBy: text).count - 1
    }

    @Test(
      "A hash key that cannot be written for good is not used", arguments: ["hash.key", "/state"])
    func keyOnFailingDisk(_ word: String) throws {
      let disk = try FaultyDisk()
      let daemon = try TestDaemon(starts: false) { $0.wrapper = disk.wrapper(forPathsWith: word) }
      try disk.set("fsync \(EIO)")
      try daemon.spawn()
      #expect(try daemon.waitForEnd().code == 1)
      #expect(daemon.log.contains("hash.key"), "\(daemon.brief)")
      try disk.set(nil)
      try daemon.start()
      #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
    }

    @Test("A disk that fails stops no decision, harms no snapshot, is told once, and tried again")
    func failingDisk() throws {
      let disk = try FaultyDisk()
      let daemon = try TestDaemon {
        $0.wrapper = disk.wrapper(forPathsWith: "snapshot")
        $0.settings = "  snapshot-interval: 1s"
      }
      let peer = try daemon.peer()
      var charged: UInt64 = 0
      for key in 0..<200 {
        #expect(try peer.decide(Request.query("acme", "few", key: "k\(key)")).isAllowed)
      }
      let start = contents(daemon)
      try wait(for: "two snapshots") {
        zip(contents(daemon), start).allSatisfy { $0 != nil && $0 != $1 }
      }

      for fault in ["write \(ENOSPC)", "write \(EIO)", "fsync \(EIO)", "rename \(EIO)"] {
        let told = occurrences(of: "no snapshot", in: daemon.log)
        let back = occurrences(of: "snapshots are written again", in: daemon.log)
        try disk.set(fault)
        try wait(for: "\(fault) to be told") {
          occurrences(of: "no snapshot", in: daemon.log) > told
        }
        let before = contents(daemon)
        for _ in 0..<300 {
          let decision = try peer.decide(Request.query("acme", "many"))
          #expect(decision.isAllowed, "\(fault)")
          charged += 1
          usleep(5000)
        }
        // An interval or more has passed: it failed again, and is not told again.
        #expect(occurrences(of: "no snapshot", in: daemon.log) == told + 1, "\(fault)")
        #expect(contents(daemon) == before, "\(fault) changed a generation")
        #expect(try isSound(daemon, 1) && isSound(daemon, 2), "\(fault)")
        try disk.set(nil)
        try wait(for: "snapshots after \(fault)") {
          occurrences(of: "snapshots are written again", in: daemon.log) > back
        }
      }

      for fault in ["write short", "write interrupted", "write slow"] {
        let told = occurrences(of: "no snapshot", in: daemon.log)
        try disk.set(fault)
        for _ in 0..<2 {
          let before = contents(daemon)
          try wait(for: "a snapshot through \(fault)") { contents(daemon) != before }
        }
        #expect(occurrences(of: "no snapshot", in: daemon.log) == told, "\(fault)")
      }
      try disk.set(nil)

      // What is on the disk after all that is the state.
      #expect(try daemon.stop().code == 0)
      unlink(daemon.livePath)
      try daemon.start()
      #expect(daemon.hasLogged("goes on with a snapshot"))
      let next = try daemon.peer()
      let counted = try next.decide(Request.query("acme", "many", .peek))
      #expect(counted.capacity - counted.remaining == charged)
      for key in 0..<200 {
        #expect(try next.decide(Request.query("acme", "few", .peek, key: "k\(key)")).remaining == 4)
      }
    }

    @Test(
      "A live state for which there is no room, or that cannot be mapped, stops the start",
      arguments: ["posix_fallocate \(ENOSPC)", "mmap \(ENOMEM)", "mmap \(ENODEV)"])
    func noLiveState(_ fault: String) throws {
      let disk = try FaultyDisk()
      let daemon = try TestDaemon(starts: false) {
        $0.wrapper = disk.wrapper(forPathsWith: ".live")
      }
      try disk.set(fault)
      #expect {
        try daemon.start()
      } throws: {
        guard let log = ($0 as? DaemonEnded)?.log else { return false }
        return log.contains("MiB") || log.contains(".live")
      }
      try disk.set(nil)
      try daemon.start()
      #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
    }

    @Test("A tmpfs that is too small is an error at the start, with the size", .needsRoot)
    func fullFileSystem() throws {
      let temporary = try TemporaryFolder()
      defer { temporary.remove() }
      let folder = temporary.path
      let mounted = try run(
        "/usr/bin/env", ["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder])
      guard mounted.code == 0 else {
        // A container without the right to mount.
        withKnownIssue("no mount here: \(mounted.errors)") { Issue.record("not tried") }
        return
      }
      defer { _ = try? run("/usr/bin/env", ["umount", folder]) }
      let daemon = try TestDaemon(starts: false) {
        $0.flags = ["--live-state", "\(folder)/limitd.live"]
      }
      #expect {
        try daemon.start()
      } throws: {
        guard let log = ($0 as? DaemonEnded)?.log else { return false }
        return log.contains("MiB") && log.contains("No space left")
      }
    }
  }
}
