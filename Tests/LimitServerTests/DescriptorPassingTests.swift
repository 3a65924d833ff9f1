// Peers that pass descriptors along with their bytes: behind those a read ends early, though more is there.

import CHostile
import CLinux
import Glibc
import LimitSystem
import TestSupport
import Testing

@testable import LimitServer

@Suite struct DescriptorPassingTests {
  private func pass(_ socket: borrowing Descriptor, byte: UInt8) -> Int {
    limitd_pass_descriptors(socket.number, socket.number, 3, byte)
  }

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
    #expect(pass(far, byte: 1) == 1 && send(far.number, "xy", 2, 0) == 2)
    let (first, second) = (received(from: near), received(from: near))
    #expect(first?.count == 1 && first?.mayHaveMore == true)
    #expect(second?.count == 2 && second?.mayHaveMore == false)
    #expect(received(from: near) == nil)
  }

  /// A socket that was handed in may have connections of before it was asked to refuse descriptors.
  @Test func whoConnectedBeforeDescriptorsWereRefusedIsReadAsMayPassThem() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/s"
    let listening = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    try #require(SocketAddress.with(path: path) { bind(listening, $0, $1) } == 0)
    try #require(Glibc.listen(listening, 8) == 0)
    func connected() throws -> Descriptor {
      let peer = try Descriptor(Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
      try #require(SocketAddress.with(path: path) { connect(peer.number, $0, $1) } == 0)
      return peer
    }
    let early = try connected()
    let listener = try ListeningSocket(adopting: listening)
    let late = try connected()
    let servesEarly = try Descriptor(limitd_accept(listener.descriptor))
    let servesLate = try Descriptor(limitd_accept(listener.descriptor))
    #expect(pass(early, byte: 1) == 1 && send(early.number, "x", 1, 0) == 1)
    let first = received(from: servesEarly)
    #expect(first?.count == 1 && first?.mayHaveMore == true)
    // The kernel refuses, or is too old for that.
    let status = pass(late, byte: 1)
    if limitd_may_carry_descriptors(servesLate.number) == 0 {
      #expect(status < 0 && errno == EPERM)
      #expect(send(late.number, "x", 1, 0) == 1)
    }
    #expect(received(from: servesLate)?.count == 1)
  }
}
