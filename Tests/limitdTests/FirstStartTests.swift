// What a start makes on a host, and what an end during the start leaves there.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct FirstStartTests {
    private let files = FileManager.default

    private func mode(_ path: String) throws -> Int {
      try #require(try files.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    // MARK: Directories

    @Test("The directories that a start makes have their modes whatever the user's mask is")
    func directories() throws {
      let daemon = try TestDaemon(starts: false) {
        $0.wrapper = ["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"]
      }
      let (runtime, state) = ("\(daemon.folder)/run", daemon.statePath)
      for path in [runtime, state] { #expect(rmdir(path) == 0) }
      try daemon.start()
      #expect(try mode(runtime) == 0o755)
      #expect(try mode(state) == 0o700)
      #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
    }

    @Test("Who may not make a directory is told a command that helps this user", .needsRoot)
    func remedies() throws {
      let daemon = try TestDaemon(starts: false) { $0.user = 4000 }
      let runtime = "\(daemon.folder)/run"
      for (path, remedy) in [
        (daemon.statePath, "run: install -d -m 700 -o 4000 \(daemon.statePath)"),
        (runtime, "run: install -d -o 4000 \(runtime)"),
      ] {
        #expect(rmdir(path) == 0 || errno == ENOENT)
        try daemon.spawn()
        let end = try daemon.waitForEnd()
        #expect(end.code == 1 && daemon.log.contains(remedy), "\(daemon.brief)")
        let command = remedy.dropFirst("run: ".count)
        #expect(try run("/bin/sh", ["-c", String(command)]).code == 0)
      }
      try daemon.start()
    }

    // MARK: The end of a start

    @Test(
      "The end does not wait for large tables to be made, and nothing of them stays",
      arguments: [true, false])
    func endOfStart(hasLiveState: Bool) throws {
      let daemon = try TestDaemon(starts: false) {
        $0.settings = "  table: {key-slots: 24M}"
        $0.hasLiveState = hasLiveState
      }
      try daemon.spawn()
      // There once the tables are next.
      try wait(for: "the socket's file") { files.fileExists(atPath: daemon.socketPath) }
      let end = try daemon.stop()
      #expect(end.code == 0 && end.seconds < ShutdownTests.endSecondsMax, "\(end)")
      #expect(daemon.log.contains("stopped before it served"), "\(daemon.brief)")
      for path in [daemon.socketPath, "\(daemon.folder)/run/admin.sock"] + liveFiles(daemon) {
        let isThere = files.fileExists(atPath: path)
        #expect(!isThere, "\(path)")
      }
      try daemon.start()
      #expect(try daemon.stop().code == 0)
    }

    @Test("A reload that is asked for during the start is made after it")
    func reloadDuringStart() throws {
      let daemon = try TestDaemon(starts: false) { $0.settings = "  table: {key-slots: 16M}" }
      try daemon.spawn()
      try wait(for: "the socket's file") { files.fileExists(atPath: daemon.socketPath) }
      daemon.signal(SIGHUP)
      try wait(for: "the reload") { daemon.reloadCount > 0 }
      #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
    }

    @Test("A table that finds no memory leaves no live state behind")
    func refusedTable() throws {
      let daemon = try TestDaemon(starts: false) {
        $0.settings = "  table: {key-slots: 32M}"
        $0.addressSpaceBytes = 700_000_000
      }
      try daemon.spawn()
      #expect(try daemon.waitForEnd().code == 1)
      for path in liveFiles(daemon) {
        let isThere = files.fileExists(atPath: path)
        #expect(!isThere, "\(path)")
      }
    }

    private func liveFiles(_ daemon: TestDaemon) -> [String] {
      ["", ".new"].map { daemon.livePath + $0 }
    }
  }
}
