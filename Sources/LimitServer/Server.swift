// The data plane as a whole: a listening socket, an acceptor and event loops, which decide by what
// the runtime has in force.
//
//     Acceptor ──connection──▶ LoopHandle ─▶ EventLoop ─▶ Session ─▶ Engine
//     Runtime  ──rulebook────▶ ┘

import CLinux
import LimitEngine
package import LimitPolicy
package import LimitRuntime
import LimitSystem
package import Logging

/// What a server is made with besides what is in force.
package struct ServerOptions: Sendable {
  /// Event loops; each is a thread. At least 1.
  package var workers: Int
  /// How long an idle loop polls before it sleeps, in ns.
  package var spin: UInt64
  package var limits: DaemonSettings.Limits
  /// Shown to clients.
  package var version: String
  /// Whether clients may set the clock that their requests are decided by. For tests only.
  package var isClockSettable = false

  package init(_ settings: DaemonSettings, version: String) {
    workers = settings.workers ?? Server.processorCount
    spin = settings.spin.count
    limits = settings.limits
    self.version = version
  }
}

/// Serves the decision protocol. Made and stopped by one thread; serves on threads of its own.
///
/// Signals are the caller's: block those that it waits for before it starts a server, since the
/// server's threads take over its mask.
package struct Server: ~Copyable {
  private let loops: [LoopHandle]
  private let loopThreads: [Thread]
  private let acceptorControl: AcceptorControl
  private let acceptor: Thread
  package let quota: PeerQuota

  /// Starts to serve: loops first, then the acceptor, and then peers may connect.
  ///
  /// - Throws: `ServerError`; no thread is left then.
  package init(
    _ runtime: Runtime, _ listener: consuming ListeningSocket, _ options: ServerOptions,
    log: Logger
  ) throws(ServerError) {
    let quota = PeerQuota(PeerBounds(options.limits))
    let (loops, threads) = try Self.startLoops(runtime, quota, options)
    let control: AcceptorControl
    do throws(ServerError) {
      (control, acceptor) = try Self.startAcceptor(listener, loops, quota, log)
    } catch {
      Self.end(loops, threads)
      throw error
    }
    acceptorControl = control
    self.quota = quota
    self.loops = loops
    loopThreads = threads
  }

  private static func startLoops(_ runtime: Runtime, _ quota: PeerQuota, _ options: ServerOptions)
    throws(ServerError) -> ([LoopHandle], [Thread])
  {
    var loops: [LoopHandle] = []
    var threads: [Thread] = []
    do throws(SystemError) {
      for number in 0..<options.workers {
        let handle = try LoopHandle()
        var loop = try EventLoop(runtime, handle, quota: quota, LoopSettings(options))
        try threads.append(Thread(named: "limitd-loop-\(number)") { loop.run() })
        loops.append(handle)
      }
    } catch {
      end(loops, threads)
      throw .system(doing: "start an event loop", error)
    }
    return (loops, threads)
  }

  private static func startAcceptor(
    _ listener: consuming ListeningSocket, _ loops: [LoopHandle], _ quota: PeerQuota, _ log: Logger
  ) throws(ServerError) -> (AcceptorControl, Thread) {
    let control = try doing("start accepting") { () throws(SystemError) in try AcceptorControl() }
    try listener.listen()
    var accepting = try Acceptor(listener, control: control, loops: loops, quota: quota, log: log)
    do throws(SystemError) {
      return (control, try Thread(named: "limitd-accept") { accepting.run() })
    } catch {
      throw .system(doing: "start accepting", error)
    }
  }

  /// From a stop to the end, whatever peers do: what leaves the process time for a last snapshot, and to
  /// end within 2 s.
  fileprivate static let drainNanoseconds: UInt64 = 1_200_000_000

  private static func end(_ loops: [LoopHandle], _ threads: [Thread]) {
    for loop in loops { loop.send(.stop) }
    for thread in threads { thread.join() }
  }

  /// Processors that this process may use, 1 ... 64: how many loops are of use.
  package static var processorCount: Int { min(Thread.processorCount, 64) }

  /// Whether every loop has come round since this was last asked. Ask again after a time that a
  /// loop must not be stuck for.
  package func isAlive() -> Bool {
    // Each is asked, whatever the others answer.
    loops.map { $0.isAlive() }.allSatisfy { $0 }
  }

  /// Stops accepting, answers what was received, closes every connection. Returns within 1.3 s.
  package consuming func stop() {
    acceptorControl.stop()
    acceptor.join()
    Self.end(loops, loopThreads)
  }
}

extension LoopSettings {
  init(_ options: ServerOptions) {
    session = SessionLimits(options.limits, isClockSettable: options.isClockSettable)
    deadlines = Deadlines(
      hello: options.limits.helloTimeout.count, frame: options.limits.frameTimeout.count,
      stall: options.limits.stallTimeout.count, drain: Server.drainNanoseconds)
    spin = options.spin
    queueBytes = options.limits.queueBytes
    daemonVersion = options.version
  }
}
