// A connection of an async client whose loop is the test: nothing happens that the test does not do. Its socket
// keeps records apart, so that whoever receives sees what was sent at once.

import DaemonSupport
import Glibc
import LimitProtocol
import LimitSystem
import TestSupport

@testable import LimitClient

/// One test's thread at a time; tasks may ask.
final class HandDriven: @unchecked Sendable {
  let channel: Channel
  /// The other end. Each thing that it receives was sent at once.
  let server: Conversation
  /// Has no channels: numbers calls.
  private let core: ClientCore
  private let buffer = ReceiveBuffer(byteCount: 1 << 16)
  private var isEnded = false

  /// A connection that was greeted.
  init() throws {
    var ends: [Int32] = [0, 0]
    let type = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw SystemError(number: errno) }
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    server = Conversation(ends[1], number: 0)
    let configuration = ClientConfiguration.test("/nowhere") { $0.spin = .zero }
    core = ClientCore(configuration, isLoopDriven: true, observer: nil)
    channel = Channel(configuration, place: 0, isLoopDriven: true, observer: nil)
    // It is never started: only rung.
    channel.loop = try IOLoop(channelCount: 1)
    channel.socket = ClientSocket(try Descriptor(ends[0]))
    channel.epoch = 1
    channel.session = ClientSession(clientName: "test", connection: 1)
    channel.state = .open
    channel.silence.heard()
    channel.attemptDeadline = .distantFuture
    turn()
    try server.greet()
    event()
  }

  deinit { endServer() }

  /// The other end is gone.
  func endServer() {
    if !isEnded { server.close() }
    isEnded = true
  }

  /// As the loop, when it was rung.
  func turn() { channel.loopTurn() }

  /// As the loop, when there is something to receive.
  func event() { channel.loopEvent(epoch: 1, buffer) }

  /// - Returns: why there was no answer; nil where there was one.
  func ping() async -> LimitClientError? {
    switch await core.ask(.ping, by: channel, .after(.patience)) {
    case .failure(let error): error
    default: nil
    }
  }

  /// Waits until so many requests are queued or on their way.
  func waitUntilOutstanding(_ count: Int) throws {
    try wait(for: "\(count) requests") {
      channel.lock()
      defer { channel.unlock() }
      return channel.session.wire.outstanding == count
    }
  }

  /// A permit that was acquired by this connection.
  func acquire() throws -> GivenPermit {
    let permit = Locked<GivenPermit?>(nil)
    Task.detached(executorPreference: OneThread()) { [self] in
      let question = Question.query(.acquire, LimitQuery(tenant: "acme", policy: "p"))
      let answer = await core.ask(question, by: channel, .after(.patience))
      if case .decision(_, let given, _) = answer { permit.withLock { $0 = given } }
    }
    // It and the bind of its names.
    try waitUntilOutstanding(2)
    for _ in 0..<2 { server.answer(try server.next()) }
    while permit.withLock({ $0 }) == nil {
      event()
      usleep(1000)
    }
    return permit.withLock { $0.unsafelyUnwrapped }
  }
}
