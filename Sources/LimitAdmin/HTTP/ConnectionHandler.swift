// One connection's requests, one after the other: gathers a request within bounds of size and time,
// has it answered on another thread, and sends the answer. On the event loop only.
//
// The pipeline in front of it holds back a further request until the one before is answered.

import LimitAdminModel
import LimitRuntime
import NIOCore
import NIOHTTP1

/// Bounds on what a peer may do to a connection.
struct ConnectionBounds: Sendable {
  /// Bytes of a request's body, unless its endpoint takes more.
  static let bodyBytes = 65_536
  /// From the first byte of a request, or from the connection's start, to its last byte.
  var requestTime = TimeAmount.seconds(10)
  /// From there to the last byte of the answer that the peer has read.
  var answerTime = TimeAmount.seconds(120)
  /// From an answer to the next request.
  var idleTime = TimeAmount.seconds(60)
}

final class ConnectionHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  /// Answers a request, at some time, on any thread.
  typealias Answer =
    @Sendable (AdminRequest, Caller, any EventLoop) -> EventLoopFuture<AdminResponse>

  private enum State {
    case idle
    case receiving(HTTPRequestHead, ByteBuffer)
    case answering
    /// Nothing more is read: an answer goes out, and then the connection ends.
    case ending
  }

  private let caller: Caller
  private let bounds: ConnectionBounds
  private let bodyBytesMax: (HTTPRequestHead, Caller) -> Int
  private let answer: Answer
  private let onEnd: () -> Void
  private var state = State.idle
  /// Of the request that is being received.
  private var bodyBytes = 0
  private var deadline: Scheduled<Void>?

  /// - Parameters:
  ///   - bodyBytesMax: how large the body of such a request may be.
  ///   - onEnd: called once, when the connection is gone.
  init(
    _ caller: Caller, _ bounds: ConnectionBounds,
    bodyBytesMax: @escaping (HTTPRequestHead, Caller) -> Int, answer: @escaping Answer,
    onEnd: @escaping () -> Void
  ) {
    self.caller = caller
    self.bounds = bounds
    self.bodyBytesMax = bodyBytesMax
    self.answer = answer
    self.onEnd = onEnd
  }

  func channelActive(context: ChannelHandlerContext) {
    limit(bounds.requestTime, context)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    deadline?.cancel()
    state = .ending
    onEnd()
    context.fireChannelInactive()
  }

  // MARK: Requests

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch (unwrapInboundIn(data), state) {
    case (.head(let head), .idle):
      limit(bounds.requestTime, context)
      bodyBytes = bodyBytesMax(head, caller)
      state = .receiving(head, context.channel.allocator.buffer(capacity: 0))
    case (.body(var part), .receiving(let head, var body)):
      guard body.readableBytes + part.readableBytes <= bodyBytes else {
        return end(
          with: Problem(
            status: 413, title: "Content too large",
            detail: "a body has at most \(bodyBytes) bytes here"), context)
      }
      // So that the buffer has one owner and grows in place.
      state = .answering
      body.writeBuffer(&part)
      state = .receiving(head, body)
    case (.end, .receiving(let head, let body)): serve(head, body, context)
    default: break
    }
  }

  private func serve(
    _ head: HTTPRequestHead, _ body: ByteBuffer, _ context: ChannelHandlerContext
  ) {
    state = .answering
    limit(bounds.answerTime, context)
    let isKept = head.isKeepAlive
    let request: AdminRequest
    do throws(Problem) {
      request = try AdminRequest(head, body: Array(body.readableBytesView))
    } catch {
      return send(AdminResponse(error), isKept: isKept, context)
    }
    answer(request, caller, context.eventLoop).assumeIsolated().whenComplete { result in
      let response =
        (try? result.get()) ?? AdminResponse(Problem.internalError("the request was given up"))
      self.send(response, isKept: isKept, context)
    }
  }

  // MARK: Answers

  private func send(
    _ response: AdminResponse, isKept: Bool, _ context: ChannelHandlerContext
  ) {
    guard case .answering = state, context.channel.isActive else { return }
    var headers = HTTPHeaders([
      ("content-type", response.contentType), ("content-length", "\(response.body.count)"),
      ("cache-control", "no-store"),
    ])
    if let allow = response.allow { headers.add(name: "allow", value: allow) }
    if !isKept {
      headers.add(name: "connection", value: "close")
      state = .ending
    }
    let head = HTTPResponseHead(version: .http1_1, status: response.status, headers: headers)
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    let body = wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body))))
    context.writeAndFlush(body).assumeIsolated().whenComplete { _ in
      self.isSent(isKept: isKept, context)
    }
  }

  /// The peer has taken all of an answer, or is gone. Only now the next request is looked at, so that
  /// answers which nobody reads do not pile up.
  private func isSent(isKept: Bool, _ context: ChannelHandlerContext) {
    guard isKept else { return context.close(promise: nil) }
    guard case .answering = state else { return }
    state = .idle
    limit(bounds.idleTime, context)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
  }

  /// Answers with what is wrong, and ends the connection: what follows cannot be read.
  private func end(with problem: Problem, _ context: ChannelHandlerContext) {
    if case .ending = state { return }
    state = .answering
    limit(bounds.requestTime, context)
    send(AdminResponse(problem), isKept: false, context)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    switch (error, state) {
    case (let error as HTTPParserError, .idle), (let error as HTTPParserError, .receiving):
      let isTooLarge = error == .headerOverflow
      end(
        with: isTooLarge
          ? Problem(
            status: 431, title: "Request header fields too large",
            detail: "the request's head is too large")
          : .badRequest("this is no HTTP/1.1 request that can be read"), context)
    default: context.close(promise: nil)
    }
  }

  // MARK: Time

  /// Sets until when what goes on must be over. There is one deadline at a time.
  private func limit(_ time: TimeAmount, _ context: ChannelHandlerContext) {
    deadline?.cancel()
    deadline = context.eventLoop.assumeIsolated().scheduleTask(in: time) {
      self.timeIsUp(context)
    }
  }

  private func timeIsUp(_ context: ChannelHandlerContext) {
    if case .receiving = state {
      end(
        with: Problem(
          status: 408, title: "Request timeout", detail: "the request took too long to arrive"),
        context)
    } else {
      context.close(promise: nil)
    }
  }
}

/// Tells a peer that there is no room for it, and ends the connection.
final class RefusalHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  func channelActive(context: ChannelHandlerContext) {
    let response = AdminResponse(
      Problem(
        status: 503, title: "Too many connections",
        detail: "the admin socket has all the connections that it may; try again later"))
    var text = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: \(response.contentType)\r\n"
    text += "content-length: \(response.body.count)\r\nconnection: close\r\n\r\n"
    let bytes = ByteBuffer(bytes: Array(text.utf8) + response.body)
    context.writeAndFlush(wrapOutboundOut(bytes)).assumeIsolated().whenComplete { _ in
      context.close(promise: nil)
    }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
}
