// What a daemon does where it cannot start: it says why, ends with 1, and leaves nothing behind.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct StartTests {
    private let files = FileManager.default

    /// Starts a daemon that must not serve.
    ///
    /// - Returns: its log.
    private func refusal(
      _ daemon: TestDaemon, code: Int32 = 1, leavesSocket: Bool = false
    ) throws -> String {
      try daemon.spawn()
      let end = try daemon.waitForEnd()
      let log = String(daemon.log.prefix(400))
      #expect(end.code == code, "code \(end.code ?? -1), signal \(end.signal): \(log)")
      if !leavesSocket {
        let isThere = files.fileExists(atPath: daemon.socketPath)
        #expect(!isThere)
      }
      return log
    }

    // MARK: Memory

    @Test(
      "A table larger than memory is refused with its size, before the socket is there",
      arguments: [
        "key-slots: 4G", "tenant-slots: 4G", "key-slots: 4G, tenant-slots: 4G, tenants: 8M",
      ])
    func largeTable(_ table: String) throws {
      let daemon = try TestDaemon(starts: false) { $0.settings = "  table: {\(table)}" }
      let log = try refusal(daemon)
      #expect(log.contains("MiB"), "\(log)")
      #expect(log.contains("daemon.table"), "\(log)")
    }

    @Test(
      "Under a limit of address space the daemon serves, or says what it needs",
      arguments: [
        ("key-slots: 32M", true), ("tenant-slots: 32M", true),
        ("tenants: 8M, key-slots: 8M", true),
        ("key-slots: 10k", false),
      ])
    func addressSpace(_ table: String, _ isTooMuch: Bool) throws {
      let daemon = try TestDaemon(starts: false) {
        $0.settings = "  table: {\(table)}"
        $0.addressSpaceBytes = 700_000_000
      }
      if isTooMuch {
        let log = try refusal(daemon)
        #expect(log.contains("MiB"), "\(log)")
      } else {
        try daemon.start()
        #expect(try daemon.stop().code == 0)
      }
    }

    @Test("Who can connect is answered: the socket listens when the tables are there")
    func listensLate() throws {
      let slots = 16 << 20
      let daemon = try TestDaemon(starts: false) { $0.settings = "  table: {key-slots: \(slots)}" }
      try daemon.spawn()
      try wait(for: "the socket") { (try? daemon.door.silentPeer()) != nil }
      #expect(daemon.residentBytes >= slots * 32)
      #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
    }

    // MARK: The hash key

    @Test("A missing hash key is made, for its user alone, and kept through restarts")
    func keyIsMade() throws {
      let daemon = try TestDaemon()
      let path = "\(daemon.statePath)/hash.key"
      let status = try files.attributesOfItem(atPath: path)
      #expect(status[.posixPermissions] as? Int == 0o600)
      let key = files.contents(atPath: path)
      #expect(key?.count == 16 && key != Data(count: 16))
      // Beside it, only the policy file that is in force, and what is set at run time.
      let others = try files.contentsOfDirectory(atPath: daemon.statePath).filter {
        !$0.hasPrefix("policy.") && !$0.hasPrefix("catalog.")
      }
      #expect(others == ["hash.key"])
      let receipt = try daemon.peer().decide(Request.query("acme", "few")).receipt
      #expect(try daemon.stop().code == 0)
      try daemon.start()
      #expect(files.contents(atPath: path) == key)
      let tag = try daemon.peer().decide(Request.query("acme", "few")).receipt.prefix(4)
      #expect(tag == receipt.prefix(4))
      // Another installation has another.
      let other = try TestDaemon()
      #expect(files.contents(atPath: "\(other.statePath)/hash.key") != key)
    }

    @Test(
      "A damaged hash key is refused and stays as it is",
      arguments: [Data(), Data(count: 16), Data("short".utf8), Data(repeating: 7, count: 17)])
    func damagedKey(_ content: Data) throws {
      let daemon = try TestDaemon(starts: false)
      let path = "\(daemon.statePath)/hash.key"
      try content.write(to: URL(filePath: path))
      #expect(try refusal(daemon).contains(path))
      #expect(files.contents(atPath: path) == content)
    }

    @Test("A hash key that is a link to nothing, a directory or a pipe is refused")
    func strangeKeys() throws {
      let daemon = try TestDaemon(starts: false)
      let path = "\(daemon.statePath)/hash.key"
      let target = "\(daemon.folder)/target"
      try files.createSymbolicLink(atPath: path, withDestinationPath: target)
      #expect(try refusal(daemon).contains(path))
      #expect(!files.fileExists(atPath: target))
      try files.removeItem(atPath: path)
      try files.createDirectory(atPath: path, withIntermediateDirectories: false)
      #expect(try refusal(daemon).contains(path))
      try files.removeItem(atPath: path)
      mkfifo(path, 0o600)
      #expect(try refusal(daemon).contains(path))
    }

    @Test("A hash key that the daemon may not read is refused and not replaced", .needsRoot)
    func unreadableKey() throws {
      let daemon = try TestDaemon(starts: false) { $0.user = 4000 }
      let path = "\(daemon.statePath)/hash.key"
      let content = Data(repeating: 7, count: 16)
      try content.write(to: URL(filePath: path))
      chmod(path, 0o600)
      #expect(try refusal(daemon).contains(path))
      #expect(files.contents(atPath: path) == content)
    }

    // MARK: Files that are pipes

    @Test("A pipe as the policy is refused at once")
    func policyPipe() throws {
      let daemon = try TestDaemon(starts: false)
      unlink(daemon.configPath)
      mkfifo(daemon.configPath, 0o644)
      #expect(try refusal(daemon, code: 78).contains("regular file"))
    }

    @Test("A policy that becomes a pipe is not reloaded, and the end is not held up")
    func policyBecomesPipe() throws {
      let daemon = try TestDaemon()
      unlink(daemon.configPath)
      mkfifo(daemon.configPath, 0o644)
      daemon.signal(SIGHUP)
      try wait(for: "the reload to fail") { daemon.hasLogged("not reloaded") }
      #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
      let end = try daemon.stop()
      #expect(end.code == 0 && end.seconds < ShutdownTests.endSecondsMax)
    }

    @Test("A log that nobody reads holds up neither answers, reloads nor the end")
    func fullLog() throws {
      let pipe = try FullPipe()
      let daemon = try TestDaemon { $0.standardError = pipe.writing }
      let peer = try daemon.peer()
      for _ in 0..<200 {
        daemon.signal(SIGHUP)
        #expect(try peer.decide(Request.query("acme", "many")).isAllowed)
      }
      try daemon.write(policy: DaemonOptions.defaultPolicy.replacing("few", with: "less"))
      daemon.signal(SIGHUP)
      try wait(for: "the reload") {
        try peer.ask(Request.query("acme", "less", .peek)).decision != nil
      }
      let end = try daemon.stop()
      #expect(end.code == 0 && end.seconds < ShutdownTests.endSecondsMax)
    }

    @Test("A daemon that cannot start ends also where nobody reads why")
    func fullLogRefusal() throws {
      let pipe = try FullPipe()
      let first = try TestDaemon()
      let second = try TestDaemon(starts: false) {
        $0.flags = ["--socket", first.socketPath]
        $0.standardError = pipe.writing
      }
      try second.spawn()
      #expect(try second.waitForEnd().code == 1)
      try second.write(policy: "limits: [")
      try second.spawn()
      #expect(try second.waitForEnd().code == EX_CONFIG)
    }

    // MARK: The socket's path

    @Test("The socket has the mode that was asked for from the first, and goes with the daemon")
    func socketMode() throws {
      let daemon = try TestDaemon { $0.settings = "  socket: {path: unused, mode: 0640}" }
      let status = try files.attributesOfItem(atPath: daemon.socketPath)
      #expect(status[.posixPermissions] as? Int == 0o640)
      #expect(try daemon.stop().code == 0)
      #expect(!files.fileExists(atPath: daemon.socketPath))
    }

    @Test("A socket of a killed daemon is replaced; a second daemon is refused")
    func deadSocket() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      let second = try TestDaemon(starts: false) {
        $0.flags = ["--socket", daemon.socketPath]
      }
      try second.spawn()
      #expect(try second.waitForEnd().code == 1)
      #expect(second.log.contains("another daemon"))
      #expect(try peer.decide(Request.query("acme", "few")).isAllowed)
      daemon.kill()
      #expect(files.fileExists(atPath: daemon.socketPath))
      try daemon.start()
      #expect(try daemon.peer().decide(Request.query("acme", "few")).isAllowed)
    }

    @Test("Whatever else stands at the path is left there, and the start is refused")
    func inTheWay() throws {
      let daemon = try TestDaemon(starts: false)
      try Data("mine".utf8).write(to: URL(filePath: daemon.socketPath))
      #expect(try refusal(daemon, leavesSocket: true).contains(daemon.socketPath))
      #expect(files.contents(atPath: daemon.socketPath) == Data("mine".utf8))
      try files.removeItem(atPath: daemon.socketPath)
      try files.createSymbolicLink(atPath: daemon.socketPath, withDestinationPath: "nowhere")
      _ = try refusal(daemon)
      #expect(
        try files.destinationOfSymbolicLink(atPath: daemon.socketPath) == "nowhere")
    }

    @Test("A live datagram socket at the path is left there")
    func datagramSocket() throws {
      let daemon = try TestDaemon(starts: false)
      let other = try DatagramSocket(daemon.socketPath)
      #expect(try refusal(daemon, leavesSocket: true).contains(daemon.socketPath))
      #expect(files.fileExists(atPath: daemon.socketPath))
      #expect(other.isReachable)
    }

    @Test(
      "A live stream socket of somebody who knows of no lock is left there, also where its queue is full",
      arguments: [0, 1] as [Int32])
    func streamSocket(backlog: Int32) throws {
      let daemon = try TestDaemon(starts: false)
      let other = try StreamListener(daemon.socketPath, backlog: backlog)
      if backlog == 0 { try other.fill() }
      let before = try files.attributesOfItem(atPath: daemon.socketPath)[.systemFileNumber] as? Int
      #expect(try refusal(daemon, leavesSocket: true).contains(daemon.socketPath))
      let after = try files.attributesOfItem(atPath: daemon.socketPath)[.systemFileNumber] as? Int
      #expect(before != nil && before == after)
      if backlog > 0 { #expect(other.isReachable) }
    }

    @Test("A link in place of the lock is refused, and nothing is made through it")
    func lockLink() throws {
      let daemon = try TestDaemon(starts: false)
      let target = "\(daemon.folder)/target"
      try files.createSymbolicLink(
        atPath: daemon.socketPath + ".lock", withDestinationPath: target)
      _ = try refusal(daemon)
      #expect(!files.fileExists(atPath: target))
      try Data("mine".utf8).write(to: URL(filePath: target))
      _ = try refusal(daemon)
      #expect(files.contents(atPath: target) == Data("mine".utf8))
    }

    @Test("Who owns the socket's directory cannot have a file of the daemon's opened", .needsRoot)
    func pathRace() throws {
      let daemon = try TestDaemon(starts: false) {
        $0.settings = """
            socket: {path: unused, mode: 0666, group: "4009"}
            table: {key-slots: 1024, tenant-slots: 1024, tenants: 1}
          """
      }
      chown("\(daemon.folder)/run", 4001, 4001)
      chmod("\(daemon.folder)/run", 0o777)
      let secret = "\(daemon.folder)/secret"
      try Data("secret".utf8).write(to: URL(filePath: secret))
      chmod(secret, 0o600)
      let path = daemon.socketPath
      try withBackground(1) { background, _ in
        while !background.isOver {
          // As soon as the node is there, a link to the secret stands in its place.
          var status = stat()
          guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { continue }
          unlink(path)
          symlink(secret, path)
          background.didRound()
        }
      } during: { background in
        for _ in 0..<40 {
          unlink(path)
          try daemon.spawn()
          let rounds = background.roundCount
          try? wait(for: "the swap", seconds: 5) { background.roundCount > rounds }
          usleep(20_000)
          daemon.kill()
          let status = try files.attributesOfItem(atPath: secret)
          #expect(status[.posixPermissions] as? Int == 0o600)
          #expect(status[.groupOwnerAccountID] as? Int == 0)
        }
        #expect(background.roundCount > 0)
      }
    }
  }
}

/// A socket of another kind than the daemon's.
private final class DatagramSocket {
  private let descriptor: Int32
  private let path: String

  init(_ path: String) throws {
    self.path = path
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    try #require(withSocketAddress(of: path) { bind(descriptor, $0, $1) } == 0)
  }

  deinit { close(descriptor) }

  /// Whether a message to the path arrives here.
  var isReachable: Bool {
    let sender = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    defer { close(sender) }
    let sent = withSocketAddress(of: path) { Int32(sendto(sender, "x", 1, 0, $0, $1)) }
    return sent == 1
  }
}

/// A stream socket that listens where the daemon's would, and accepts nobody.
private final class StreamListener {
  private let descriptor: Int32
  private let path: String
  private var waiting: [Int32] = []

  init(_ path: String, backlog: Int32) throws {
    self.path = path
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    try #require(withSocketAddress(of: path) { bind(descriptor, $0, $1) } == 0)
    try #require(listen(descriptor, backlog) == 0)
  }

  deinit { for each in waiting + [descriptor] { close(each) } }

  /// Whether somebody who connects gets in.
  var isReachable: Bool { connectSomebody() == 0 }

  /// Has others connect until no more may wait.
  func fill() throws {
    for _ in 0..<10 {
      let error = connectSomebody()
      if error == EAGAIN { return }
      try #require(error == 0)
    }
    Issue.record("the queue has no end")
  }

  /// - Returns: 0, or why not.
  private func connectSomebody() -> Int32 {
    let peer = socket(
      AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    waiting.append(peer)
    return withSocketAddress(of: path) { connect(peer, $0, $1) } == 0 ? 0 : errno
  }
}
