// One connection to the daemon, by hand: whatever bytes, at whatever pace. One thread uses a peer.

import CHostile
public import Glibc

/// A call of the system that failed, and what for.
public struct SystemFailure: Error, CustomStringConvertible {
  public let what: String
  public let number: Int32

  init(_ what: String, _ number: Int32 = errno) {
    self.what = what
    self.number = number
  }

  public var description: String { "\(what): \(String(cString: strerror(number)))" }
}

/// A connected socket and what was read from it.
public final class Peer {
  public private(set) var descriptor: Int32
  /// Bytes that came and belong to no reply yet.
  private var pending: [UInt8] = []
  private var pendingStart = 0
  private var chunk = [UInt8](repeating: 0, count: 65_536)

  /// Connects.
  ///
  /// - Parameters:
  ///   - user: whom the daemon takes this for; needs root.
  ///   - timeoutSeconds: after which a blocking call fails, so that no test waits for ever.
  public init(_ path: String, user: UInt32? = nil, timeoutSeconds: Int = 30) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw SystemFailure("socket") }
    var time = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, size)
    if let user, limitd_become(user) != 0 { throw SystemFailure("become user \(user)") }
    let status = withSocketAddress(of: path) { connect(descriptor, $0, $1) }
    let failure = errno
    if user != nil, limitd_become(0) != 0 { fatalError("cannot be root again") }
    guard status == 0 else {
      Glibc.close(descriptor)
      descriptor = -1
      throw SystemFailure("connect", failure)
    }
  }

  deinit { close() }

  public func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Says that nothing more comes; replies still do.
  public func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  // MARK: Sending

  /// Sends all bytes, waiting for room.
  public func send(_ bytes: [UInt8]) throws { try Self.send(bytes, to: descriptor) }

  /// The same for a thread beside one that receives.
  public static func send(_ bytes: [UInt8], to descriptor: Int32) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw SystemFailure("send") }
      sent += count
    }
  }

  /// Sends what the socket takes at once.
  ///
  /// - Returns: how many bytes that were.
  public func sendSome(_ bytes: [UInt8]) throws -> Int {
    let count = bytes.withUnsafeBytes {
      Glibc.send(
        descriptor, $0.baseAddress, $0.count,
        Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }
    if count < 0, errno == EAGAIN { return 0 }
    guard count >= 0 else { throw SystemFailure("send") }
    return count
  }

  /// Sends one byte with `count` copies of this peer's own descriptor.
  public func passDescriptors(_ count: Int, byte: UInt8) throws {
    guard limitd_pass_descriptors(descriptor, descriptor, Int32(count), byte) == 1 else {
      throw SystemFailure("pass \(count) descriptors")
    }
  }

  // MARK: Receiving

  /// The next reply; `nil` where the daemon has closed, or reset the connection.
  public func receive() throws -> Reply? {
    while true {
      if let reply = takePending() { return reply }
      guard try fill() else { return nil }
    }
  }

  private func takePending() -> Reply? {
    let count = pending.count - pendingStart
    guard count >= 8 else { return nil }
    let length = Int(pending.number(at: pendingStart, bytes: 3))
    guard count >= length else { return nil }
    let reply = Reply(Array(pending[pendingStart..<(pendingStart + length)]))
    pendingStart += length
    if pendingStart == pending.count {
      pending.removeAll(keepingCapacity: true)
      pendingStart = 0
    }
    return reply
  }

  /// - Returns: whether there was something.
  private func fill() throws -> Bool {
    while true {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      if count > 0 {
        pending.append(contentsOf: chunk[..<count])
        return true
      }
      if count == 0 || errno == ECONNRESET { return false }
      if errno != EINTR { throw SystemFailure("receive") }
    }
  }

  /// Whether the daemon has closed this connection: reads whatever comes before.
  ///
  /// - Returns: the replies that came before the end.
  public func receiveToEnd() throws -> [Reply] {
    var replies: [Reply] = []
    while let reply = try receive() { replies.append(reply) }
    return replies
  }

  // MARK: Both

  /// Sends a request and waits for a reply.
  public func ask(_ request: [UInt8]) throws -> Reply {
    try send(request)
    guard let reply = try receive() else { throw Unanswered() }
    return reply
  }

  /// Says hello, and throws where that is not taken.
  @discardableResult public func greet() throws -> Reply {
    let reply = try ask(Request.hello())
    guard reply.operation == 0x81 else { throw Refused(reply: reply) }
    return reply
  }

  /// Binds a handle, and throws where that is not taken.
  public func bind(_ handle: UInt16 = 0, _ tenant: String, _ policy: String) throws {
    let reply = try ask(Request.bind(handle, tenant, policy))
    guard reply.operation == 0x83 else { throw Refused(reply: reply) }
  }

  /// The decision on a request that asks for one.
  public func decide(_ request: [UInt8]) throws -> ReplyDecision {
    let reply = try ask(request)
    guard let decision = reply.decision else { throw Refused(reply: reply) }
    return decision
  }
}

/// The daemon closed a connection on which a reply was due.
public struct Unanswered: Error {
  public init() {}
}

/// The daemon said something else than it should.
public struct Refused: Error, CustomStringConvertible {
  public let reply: Reply
  public var description: String { "\(reply)" }
}

/// Calls `body` with the address of a path of at most 107 bytes.
public func withSocketAddress(
  of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
) -> Int32 {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  precondition(path.utf8.count < 108, "sun_path has 108 bytes")
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
  }
}
