// What a start makes on a host, and what an end during the start leaves there.

import DaemonSupport
import Foundation
import Glibc
import TestSupport
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

    @Test("With nothing set it makes all it needs in the system's own places", .needsRoot)
    func defaults() throws {
      // In a view of the file system of its own, so that the host's stay as they are.
      let script = """
        mount -t tmpfs none /run && mount -t tmpfs none /var/lib || exit 77
        umask 077
        "$1/limitd" --config "$2" 2>/run/log &
        for attempt in $(seq 200); do "$1/limitctl" ping >/run/ping 2>&1 && break; sleep 0.1; done
        stat -c '%a %F %n' /run/limitd /run/limitd/*.sock /run/limitd/limitd.live /var/lib/limitd \
          /var/lib/limitd/hash.key
        kill $! && wait $! && echo "ended with $?"
        ls /run/limitd/*.sock 2>/dev/null
        cat /run/log >&2
        """
      let policy = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../examples/policy.yaml").path
      let arguments = ["unshare", "-m", "sh", "-c", script, "sh", TestDaemon.folder, policy]
      let result = try run("/usr/bin/env", arguments)
      guard result.code != 77, !result.errors.hasPrefix("unshare") else {
        // A container without the right to mount.
        withKnownIssue("no mount here: \(result.errors)") { Issue.record("not tried") }
        return
      }
      let expected = """
        755 directory /run/limitd
        600 socket /run/limitd/admin.sock
        660 socket /run/limitd/limitd.sock
        600 regular file /run/limitd/limitd.live
        700 directory /var/lib/limitd
        600 regular file /var/lib/limitd/hash.key
        ended with 0

        """
      #expect(result.output == expected, "\(result.errors)")
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

    // MARK: The order of a start

    @Test(
      "Every socket is open before there is a second thread, and listens when there are loops",
      .enabled(if: Tracer.isUsable, "strace is not here, or may not trace"))
    func socketsBeforeThreads() throws {
      let folder = try TemporaryFolder()
      defer { folder.remove() }
      let trace = "\(folder.path)/trace"
      let port = try MonitoringTests().freePort()
      let daemon = try TestDaemon {
        $0.wrapper = Tracer.command(of: "socket,bind,listen,clone,clone3", into: trace)
        $0.settings = "  metrics: {listen: '127.0.0.1:\(port)'}"
      }
      let process = daemon.process
      #expect(try daemon.stop().code == 0)
      var told = ""
      try wait(for: "the end of the trace") {
        told = try String(contentsOfFile: trace, encoding: .utf8)
        return told.split(separator: "\n").contains {
          $0.hasPrefix("\(process) ") && $0.contains("+++ exited")
        }
      }
      // Each line is the number of a thread and a call of it.
      let calls = told.split(separator: "\n").map {
        $0.drop { !$0.isLetter }.prefix { $0 != "(" }
      }
      let first = try #require(calls.firstIndex { $0.hasPrefix("clone") }, "\(calls)")
      let (before, after) = (calls[..<first], calls[first...])
      // For decisions, for administrators and for metrics.
      #expect(before.count { $0 == "bind" } == 3, "\(calls)")
      #expect(!after.contains("bind") && !after.contains("socket"), "\(calls)")
      // Connections come when there are loops for them.
      #expect(after.contains("listen"), "\(calls)")
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

/// strace(1), which tells what the daemon asks of the system.
private enum Tracer {
  /// As a grandchild, so that the daemon is the test's own child.
  static func command(of calls: String, into path: String) -> [String] {
    ["/usr/bin/env", "strace", "-D", "-f", "-q", "-e", "trace=\(calls)", "-o", path]
  }

  static let isUsable =
    (try? run("/usr/bin/env", Array(command(of: "bind", into: "/dev/null").dropFirst()) + ["true"]))?
    .code == 0
}
