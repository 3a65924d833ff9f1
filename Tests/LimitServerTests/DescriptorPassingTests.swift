// Peers that pass descriptors along with their bytes: behind those a read ends early, though more is there.

import CHostile
import CLinux
import DaemonSupport
import Glibc
import LimitPolicy
import LimitRuntime
import LimitSystem
import Logging
import TestSupport
import Testing

@testable import LimitServer

@Suite struct DescriptorPassingTests {
  private func received(from socket: borrowing Descriptor) -> (count: Int, mayHaveMore: Bool)? {
    var room = [UInt8](repeating: 0, count: 64)
    let outcome = room.withUnsafeMutableBytes {
      socket.receive(
        into: $0, mayCarryDescriptors: limitd_may_carry_descriptors(socket.number) != 0)
    }
    guard case .bytes(let count, let mayHaveMore) = outcome else { return nil }
    return (count, mayHaveMore)
  }

  @Test func aReadThatEndsBehindDescriptorsTellsThatMoreMayBeThere() throws {
    var ends: [Int32] = [0, 0]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue)
    try #require(socketpair(AF_UNIX, kind, 0, &ends) == 0)
    let near = try Descriptor(ends[0])
    let far = try Descriptor(ends[1])
    #expect(limitd_pass_descriptors(far.number, far.number, 3, 1) == 1)
    #expect(send(far.number, "xy", 2, 0) == 2)
    let (first, second) = (received(from: near), received(from: near))
    #expect(first?.count == 1 && first?.mayHaveMore == true)
    #expect(second?.count == 2 && second?.mayHaveMore == false)
    #expect(received(from: near) == nil)
  }

  /// Whether this kernel can refuse them.
  private func isRefusable() throws -> Bool {
    let probe = try Descriptor(Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
    return limitd_refuse_descriptors(probe.number) == 0
  }

  /// A socket that listens already, as one that is handed in does.
  private func listening(at path: String) throws -> Int32 {
    let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    try #require(SocketAddress.with(path: path) { bind(socket, $0, $1) } == 0)
    try #require(Glibc.listen(socket, 8) == 0)
    return socket
  }

  /// Where the kernel is too old for that, they come, and are told.
  private func expectRefused(at path: String, by listener: borrowing ListeningSocket) throws {
    let peer = try DaemonSupport.Peer(path)
    let server = try Descriptor(limitd_accept(listener.descriptor))
    if try isRefusable() {
      let failure = #expect(throws: SystemFailure.self) { try peer.passDescriptors(3, byte: 1) }
      #expect(failure?.number == EPERM)
      #expect(limitd_may_carry_descriptors(server.number) == 0)
      try peer.send([1])
    } else {
      try peer.passDescriptors(3, byte: 1)
    }
    let mayHaveMore = received(from: server)?.mayHaveMore
    #expect(try mayHaveMore == !isRefusable())
  }

  @Test func whoConnectsIsRefusedToPassDescriptors() throws {
    let folder = try TemporaryFolder()
    var settings = DaemonSettings().socket
    settings.path = folder.path + "/own"
    settings.group = nil
    let own = try ListeningSocket(settings)
    try own.listen()
    try expectRefused(at: settings.path, by: own)
    let path = folder.path + "/handed-in"
    let adopted = try ListeningSocket(adopting: try listening(at: path))
    try expectRefused(at: path, by: adopted)
  }

  /// A socket that was handed in may have connections of before it was asked to refuse descriptors.
  @Test func whatWasSentBehindDescriptorsBeforeTheDaemonCameIsAnswered() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/s"
    let listener = try listening(at: path)
    let early = try DaemonSupport.Peer(path)
    // All of it lies there before anybody reads, and nothing comes after it.
    let bytes = Request.hello() + Request.ping(id: 7)
    try early.send(Array(bytes[..<11]))
    try early.passDescriptors(3, byte: bytes[11])
    try early.send(Array(bytes[12...]))
    let memory = try MemoryServer(
      """
      limits: {one: {algorithm: token-bucket, rate: 1/s, burst: 1, scope: tenant}}
      policies: {one: [one]}
      tenants: {"*": {}}
      """)
    let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    var options = ServerOptions(DaemonSettings(), version: "test")
    options.workers = 1
    let server = try Server(
      Runtime(memory.engine, memory.rulebook), try ListeningSocket(adopting: listener), options,
      log: log)
    let replies = (try? early.receive(), try? early.receive())
    #expect(replies.0?.operation == 0x81 && replies.1?.operation == 0x82)
    server.stop()
  }
}
