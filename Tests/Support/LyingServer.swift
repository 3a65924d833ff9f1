// A server that says what a test wants it to, true or not. It listens on a Unix socket of its own,
// and holds one conversation per connection, each on a thread unless it is to hold one after another.

import Foundation
import Glibc
public import LimitProtocol

/// Serves with `serve` until it is let go.
public final class LyingServer: Sendable {
  public let path: String
  private let folder: TemporaryFolder
  private let listener: Int32
  private let log = Log()

  /// What the server was asked, on all connections.
  private final class Log: @unchecked Sendable {
    private let lock = NSLock()
    private var operations: [UInt8] = []
    private var conversations: [Int32] = []

    func add(_ operation: UInt8) { lock.withLock { operations.append(operation) } }
    func count(_ operation: UInt8) -> Int {
      lock.withLock { operations.count { $0 == operation } }
    }
    func begin(_ descriptor: Int32) { lock.withLock { conversations.append(descriptor) } }
    var conversationCount: Int { lock.withLock { conversations.count } }
  }

  /// - Parameters:
  ///   - isOneByOne: takes a connection only when the one before has ended; costs no thread for each.
  ///   - serve: is given each connection with its number from 0; the connection is closed when it
  ///     returns or throws.
  public init(
    isOneByOne: Bool = false, _ serve: @escaping @Sendable (Conversation) throws -> Void
  ) throws {
    folder = try TemporaryFolder()
    path = folder.path + "/s"
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    self.listener = listener
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard bound == 0, listen(listener, 128) == 0 else { throw Failure(what: "listen") }
    let log = log
    Thread.detachNewThread {
      while true {
        let descriptor = accept(listener, nil, nil)
        guard descriptor >= 0 else {
          // Shut down, or else short of something that it may have again.
          guard errno == EINVAL else {
            usleep(1000)
            continue
          }
          // By nobody else: while this thread may yet ask for it, its number must not be another's.
          Glibc.close(listener)
          return
        }
        let number = log.conversationCount
        log.begin(descriptor)
        let conversation = Conversation(descriptor, number: number) { log.add($0) }
        let hold: @Sendable () -> Void = {
          try? serve(conversation)
          conversation.close()
        }
        if isOneByOne { hold() } else { Thread.detachNewThread(hold) }
      }
    }
  }

  deinit {
    // The accepting thread ends then.
    shutdown(listener, Int32(SHUT_RDWR))
  }

  /// Requests of that operation so far, on all connections.
  public func count(_ operation: LimitProtocol.Operation) -> Int { log.count(operation.rawValue) }

  public var conversationCount: Int { log.conversationCount }

  public struct Failure: Error { public let what: String }
}

/// One connection of a lying server. Its thread alone uses it, but for what is marked.
public final class Conversation: @unchecked Sendable {
  /// Which connection this is, from 0.
  public let number: Int
  private let descriptor: Int32
  private let heard: (UInt8) -> Void
  private var pending: [UInt8] = []
  /// How often something was received.
  public private(set) var receptionCount = 0

  public struct Request {
    public let operation: LimitProtocol.Operation
    public let id: UInt32
    public let body: [UInt8]
  }

  /// The client has closed.
  public struct Ended: Error {}

  /// - Parameters:
  ///   - descriptor: this side's end of a connection.
  ///   - heard: is given the number of each operation that is asked for.
  public init(_ descriptor: Int32, number: Int, heard: @escaping (UInt8) -> Void = { _ in }) {
    self.descriptor = descriptor
    self.number = number
    self.heard = heard
  }

  public func close() { Glibc.close(descriptor) }

  /// Ends what this side sends. Any thread.
  public func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// The next request.
  ///
  /// - Throws: `Ended`.
  public func next() throws -> Request {
    while true {
      if pending.count >= 8 {
        let length = Int(pending[0]) | Int(pending[1]) << 8 | Int(pending[2]) << 16
        if pending.count >= length {
          let id = pending[4..<8].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
          let body = Array(pending[8..<length])
          heard(pending[3])
          let operation = LimitProtocol.Operation(rawValue: pending[3])!
          pending.removeFirst(length)
          return Request(operation: operation, id: id, body: body)
        }
      }
      var chunk = [UInt8](repeating: 0, count: 65_536)
      let count = recv(descriptor, &chunk, chunk.count, 0)
      guard count > 0 else { throw Ended() }
      receptionCount += 1
      pending.append(contentsOf: chunk[..<count])
    }
  }

  /// Sends bytes as they are. Any thread, one at a time.
  public func send(_ bytes: [UInt8]) {
    _ = bytes.withUnsafeBytes {
      Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
  }

  /// Sends a frame that `encode` writes.
  public func send(_ encode: (inout WireWriter) -> Void) { send(Self.bytes(encode)) }

  public static func bytes(_ encode: (inout WireWriter) -> Void) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 1 << 17) { room, count in
      var writer = WireWriter(UnsafeMutableRawBufferPointer(room))
      encode(&writer)
      count = writer.count
    }
  }

  // MARK: Honest answers

  /// Answers the hello as limitd would.
  public func greet(
    version: ProtocolVersion = .current, handles: UInt16 = 16, batchItems: UInt16 = 1024
  ) throws {
    let request = try next()
    send {
      HelloReply(
        version: version, capabilities: 0, frameBytesMax: 65_536, batchItemsMax: batchItems,
        keyBytesMax: 1024, handlesMax: handles, permitsMax: 1024, roles: [.query, .settle],
        daemonVersion: "liar"
      ).encode(id: request.id, into: &$0)
    }
  }

  /// A decision that a limit at place 0 made; `tag` goes with `answer(bind:)`.
  public static func decision(
    _ outcome: DecisionOutcome = .allow, tag: UInt32 = 7, remaining: UInt64 = 1
  ) -> DecisionRecord {
    DecisionRecord(
      outcome: outcome, reason: .limit, flags: [], place: 0,
      receipt: WireReceipt(
        tag: tag, decidedAt: 1, charged: outcome == .allow ? 1 : 0, shadow: 0, escalated: 0,
        mac: 0),
      capacity: 10, remaining: remaining, retryAfter: 0, resetAfter: 0)
  }

  /// Answers any request as limitd would that has one policy of one limit, and admits everything.
  ///
  /// - Parameter permit: what an acquire is given.
  public func answer(_ request: Request, permit: UInt64 = 5, tag: UInt32 = 7) {
    send(Self.reply(to: request, permit: permit, tag: tag))
  }

  /// As `answer`, of several requests in one piece.
  public func answer(_ requests: [Request]) { send(requests.flatMap { Self.reply(to: $0) }) }

  /// The bytes of `answer`.
  public static func reply(to request: Request, permit: UInt64 = 5, tag: UInt32 = 7) -> [UInt8] {
    let reply = request.operation.replyNumber
    return bytes { writer in
      switch request.operation {
      case .bind:
        BindReply(
          handle: UInt16(request.body[0]) | UInt16(request.body[1]) << 8, tag: tag,
          limits: [LimitDescription(algorithm: 0, scope: 0, name: "limit-\(tag)", unit: "requests")]
        ).encode(id: request.id, into: &writer)
      case .acquire, .acquireByName:
        DecisionReply.encode(
          decision(tag: tag), permit: permit, operation: reply, id: request.id, into: &writer)
      case .check, .checkByName, .peek, .peekByName:
        DecisionReply.encode(
          decision(tag: tag), permit: nil, operation: reply, id: request.id, into: &writer)
      case .batch:
        let count = Int(request.body[0]) | Int(request.body[1]) << 8
        BatchReply.encodeStart(count: count, id: request.id, into: &writer)
        for _ in 0..<count { decision(tag: tag).encode(into: &writer) }
      default: EmptyFrame.encode(reply, id: request.id, into: &writer)
      }
    }
  }

  /// Greets, and answers everything until the client goes.
  public func beHonest() throws {
    try greet()
    while true { answer(try next()) }
  }
}
