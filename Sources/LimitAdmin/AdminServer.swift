// The admin interface as a whole: sockets that listen, one event loop for all connections, one thread
// that answers. None of it is the data plane's: a scrape or a list delays other requests here, and no
// decision but through the processor time that it takes.

import CLinux
import Glibc
import LimitAdminModel
import LimitRuntime
import LimitSystem
package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix

/// What listens, and for whom.
package struct AdminListener: Sendable {
  package enum Kind: Sendable {
    /// A Unix socket: every endpoint, for whom `daemon.access` lets in.
    case admin
    /// Any stream socket: the metrics, for whoever can connect.
    case metrics
  }

  package var kind: Kind
  /// Listens already; the server closes it.
  package var descriptor: Int32

  package init(_ kind: Kind, descriptor: Int32) {
    self.kind = kind
    self.descriptor = descriptor
  }
}

/// The kernel does not say who connected.
private struct NobodyThere: Error {}

/// Serves the admin interface. Made and stopped by one thread; serves on threads of its own.
package final class AdminServer: Sendable {
  /// Connections at once: a descriptor each.
  package static var connectionsMax: Int { AdminConnections.most }

  private let group: MultiThreadedEventLoopGroup
  private let workers: NIOThreadPool
  private let channels: [any Channel]

  /// Starts to serve. When this returns, what connects is answered.
  ///
  /// - Throws: where a listener is none; no thread is left then, and all listeners are closed.
  package init(_ source: AdminSource, _ listeners: [AdminListener], log: Logger) throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let workers = NIOThreadPool(numberOfThreads: 1)
    workers.start()
    // Both give way to threads that decide.
    workers.submit { _ in Thread.standBack() }
    group.any().execute { Thread.standBack() }
    let router = Router(
      runtime: source.runtime, routes: Endpoints(source: source).routes, log: log)
    let connections = NIOLoopBoundBox.makeBoxSendingValue(
      AdminConnections(), eventLoop: group.any())
    var channels: [any Channel] = []
    var left = listeners[...]
    do {
      while let listener = left.popFirst() {
        let bootstrap = Self.bootstrap(group, workers, router, listener.kind, connections, log)
        channels.append(try bootstrap.withBoundSocket(listener.descriptor).wait())
      }
    } catch {
      for listener in left { close(listener.descriptor) }
      for channel in channels { try? channel.close().wait() }
      try? workers.syncShutdownGracefully()
      try? group.syncShutdownGracefully()
      throw error
    }
    self.group = group
    self.workers = workers
    self.channels = channels
  }

  private static func bootstrap(
    _ group: MultiThreadedEventLoopGroup, _ workers: NIOThreadPool, _ router: Router,
    _ kind: AdminListener.Kind, _ connections: NIOLoopBoundBox<AdminConnections>, _ log: Logger
  ) -> ServerBootstrap {
    ServerBootstrap(group: group)
      .serverChannelOption(.maxMessagesPerRead, value: 4)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          var user: UInt32?
          var caller = Caller.anyone
          if kind == .admin {
            let peer = try pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
              Peer(of: $0)
            }
            guard let peer = peer ?? nil else { throw NobodyThere() }
            (user, caller) = (peer.userID, .peer(peer))
          }
          guard connections.value.enter(user) else {
            log.notice("admin connection refused", metadata: ["uid": "\(user ?? 0)"])
            return try pipeline.addHandler(RefusalHandler())
          }
          try pipeline.configureHTTPServerPipeline(withErrorHandling: false)
          try pipeline.addHandler(
            ConnectionHandler(
              caller, ConnectionBounds(), bodyBytesMax: { router.bodyBytesMax($0, $1) },
              answer: { answer($0, $1, on: $2, workers, router) },
              onEnd: { connections.value.leave(user) }))
        }
      }
  }

  /// Has the answering thread answer a request.
  private static func answer(
    _ request: AdminRequest, _ caller: Caller, on loop: any EventLoop, _ workers: NIOThreadPool,
    _ router: Router
  ) -> EventLoopFuture<AdminResponse> {
    workers.runIfActive(eventLoop: loop) { router.outcome(request, caller) }.flatMap { outcome in
      switch outcome {
      case .now(let response): return loop.makeSucceededFuture(response)
      case .later(let begin):
        let promise = loop.makePromise(of: AdminResponse.self)
        begin { promise.succeed($0) }
        return promise.futureResult
      }
    }
  }

  /// Begins to close the listeners, and returns at once: the thread that closes them stands back, so where
  /// processors are short it may take any time. Connections end with the process: nobody waits for their
  /// answers.
  package func stop() {
    for channel in channels { channel.close(promise: nil) }
  }
}
