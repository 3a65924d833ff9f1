// Takes connections in, and gives each to the loop that has fewest. One thread of its own.

import CLinux
import Glibc
import LimitProtocol
import LimitRuntime
import LimitSystem
import Logging
import Synchronization

/// Accepts until it is told to stop; then takes what the kernel has queued, and ends.
struct Acceptor: ~Copyable {
  private enum Token: UInt64 { case listener = 1, wakeUp = 2 }

  /// How long to leave the listener alone when the process has no descriptor left.
  private static let pauseMilliseconds: Int32 = 100
  /// Most connections that are accepted before the loop looks for a stop.
  private static let turnMax = 64

  private let listener: ListeningSocket
  private let control: AcceptorControl
  private let loops: [LoopHandle]
  private let quota: PeerQuota
  private let log: Logger
  private let poller: Poller
  private var isPaused = false

  init(
    _ listener: consuming ListeningSocket, control: AcceptorControl, loops: [LoopHandle],
    quota: PeerQuota, log: Logger
  ) throws(ServerError) {
    let poller = try doing("start accepting") { () throws(SystemError) in
      let poller = try Poller()
      try poller.add(listener.descriptor, .input, token: Token.listener.rawValue)
      try poller.add(control.wakeUp.descriptor, .input, token: Token.wakeUp.rawValue)
      return poller
    }
    self.poller = poller
    self.listener = listener
    self.control = control
    self.loops = loops
    self.quota = quota
    self.log = log
  }

  mutating func run() {
    while true {
      let count = poller.wait(milliseconds: isPaused ? Self.pauseMilliseconds : -1)
      for place in 0..<count where poller.event(place).token == Token.wakeUp.rawValue {
        takeQueued()
        return
      }
      if isPaused { resume() }
      _ = accept(atMost: Self.turnMax)
    }
  }

  /// Who connected before the stop is served like anyone else. Who goes on connecting is not waited
  /// for: no more are taken than the kernel can have queued. A socket that was handed in keeps them
  /// for the next daemon.
  private mutating func takeQueued() {
    if listener.isOwn { _ = accept(atMost: Int(ListeningSocket.backlog) + 1) }
  }

  /// Accepts connections.
  ///
  /// - Returns: whether there may be more at once.
  private mutating func accept(atMost max: Int) -> Bool {
    for _ in 0..<max {
      let socket = limitd_accept(listener.descriptor)
      guard socket < 0 else {
        admit(socket)
        continue
      }
      switch errno {
      case EINTR, ECONNABORTED: continue
      case EAGAIN: return false
      default:
        // EMFILE, ENFILE, ENOMEM, ENOBUFS: the connection stays queued, and the poller would
        // report it for ever.
        pause(.last())
        return false
      }
    }
    return true
  }

  private mutating func pause(_ error: SystemError) {
    guard !isPaused else { return }
    isPaused = true
    poller.change(listener.descriptor, [], token: Token.listener.rawValue)
    log.warning(
      "accepting is paused",
      metadata: ["error": "\(error)", "connections": "\(quota.connectionCount)"])
  }

  private mutating func resume() {
    isPaused = false
    poller.change(listener.descriptor, .input, token: Token.listener.rawValue)
  }

  private func admit(_ socket: Int32) {
    guard let peer = Peer(of: socket) else {
      close(socket)
      return
    }
    let account: UserAccount
    do throws(PeerQuota.Refusal) {
      account = try quota.enter(peer.userID)
    } catch {
      refuse(socket, peer, error)
      return
    }
    // Relaxed: any order of the counts is good enough for a choice.
    let loop = loops.min {
      $0.connectionCount.load(ordering: .relaxed) < $1.connectionCount.load(ordering: .relaxed)
    }!
    loop.connectionCount.add(1, ordering: .relaxed)
    loop.send(.connection(descriptor: socket, peer, account))
  }

  /// Says whose limit is reached, if the peer can hear it, and closes.
  private func refuse(_ socket: Int32, _ peer: Peer, _ refusal: PeerQuota.Refusal) {
    let text =
      switch refusal {
      case .user(let most): "user \(peer.userID) has \(most) connections, the most that one may"
      case .all: "the daemon has all the connections that it may; try again later"
      case .memory: "the connections of user \(peer.userID) hold all the memory that they may"
      }
    log.notice("connection refused", metadata: ["uid": "\(peer.userID)", "reason": "\(text)"])
    withUnsafeTemporaryAllocation(byteCount: ErrorReply.byteCountMax, alignment: 8) { memory in
      var writer = WireWriter(memory)
      ErrorReply(code: ErrorCode.limitReached.rawValue, text: text).encode(id: 0, into: &writer)
      _ = limitd_send(socket, writer.bytes.baseAddress, writer.count)
    }
    close(socket)
  }
}

/// How other threads reach the acceptor.
final class AcceptorControl: Sendable {
  let wakeUp: WakeUp

  init() throws(SystemError) { wakeUp = try WakeUp() }

  func stop() { wakeUp.ring() }
}
