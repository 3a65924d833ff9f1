// To resume a task waits for whoever cancels it, and so for the locks that its handlers want. Whoever may hold such a
// lock, and gives a permit back, asks whether it is held, cancels another or ends the client, therefore leaves it to
// the loop whom to resume (docs/decisions/0031).

import DaemonSupport
import Foundation
import LimitProtocol
import LimitSystem
import TestSupport
import Testing

@testable import LimitClient

@Suite struct ResumingTests {
  /// What is done under the lock, and finds that a task is to be resumed.
  enum Deed: CaseIterable {
    /// Cannot send any more, and fails what was not sent.
    case release
    /// Receives the answer.
    case isHeld
    /// Finds an answer that another has yet to tell, of whose task it cancels the neighbour.
    case cancel
    /// Fails all that waits.
    case shut
  }

  /// A task that waits for an answer, and whose handler waits for the lock, for which `gate` stands.
  private final class CancelledTask: Sendable {
    private let gate = Gate()
    private let (handlerBegan, hasEnded) = (Count(), Count())
    private let task: Task<Void, Never>

    /// - Parameter begin: asks. Has returned when the task waits.
    init(_ begin: @escaping @Sendable (TaskWaiter) -> Void) {
      let (gate, handlerBegan, hasEnded) = (gate, handlerBegan, hasEnded)
      let thread = OneThread()
      let hasBegun = Count()
      task = Task.detached(executorPreference: thread) {
        await withTaskCancellationHandler {
          _ = await withUnsafeContinuation { continuation in
            begin(TaskWaiter(number: .max, continuation: continuation, deadline: .distantFuture))
            hasBegun.add()
          }
        } onCancel: {
          handlerBegan.add()
          gate.pass()
        }
        hasEnded.add()
      }
      while hasBegun.value == 0 { usleep(1000) }
      // The thread is free again once the task waits.
      thread.drain()
    }

    /// Cancels it on another thread, which waits in the handler then.
    func cancel() {
      Foundation.Thread.detachNewThread { [task] in task.cancel() }
      while handlerBegan.value == 0 { usleep(1000) }
    }

    /// Whether `deed` comes back while the handler waits; then lets the lock go.
    func waitsNot(for deed: @escaping @Sendable () -> Void) -> Bool {
      let isBack = Count()
      Foundation.Thread.detachNewThread {
        deed()
        isBack.add()
      }
      defer { gate.open() }
      return (try? wait(for: "the deed") { isBack.value == 1 }) != nil
    }

    var isOver: Bool { hasEnded.value == 1 }
  }

  /// Two pings, which are on their way, so that what is asked next is left to the loop to send.
  ///
  /// - Parameter ended: counts those that are over.
  private func askTwice(_ connection: HandDriven, _ ended: Count) throws {
    for _ in 0..<2 {
      Task.detached(executorPreference: OneThread()) {
        _ = await connection.ping()
        ended.add()
      }
    }
    try connection.waitUntilOutstanding(2)
  }

  @Test(arguments: Deed.allCases)
  func whoMayHoldALockResumesNobodyElse(_ deed: Deed) throws {
    let connection = try HandDriven()
    let channel = connection.channel
    let permit = try connection.acquire()
    let pinged = Count()
    if deed == .release { try askTwice(connection, pinged) }
    let task = CancelledTask { waiter in
      guard deed == .cancel else { return channel.ask(.ping, waiter) }
      channel.lock()
      channel.tell(.task(waiter), .ready)
      // As of one who sends: what it has to tell, it tells when it is done.
      pthread_mutex_unlock(channel.mutex)
    }
    if deed == .isHeld { connection.server.answer(try connection.server.next()) }
    if deed == .release { connection.endServer() }
    task.cancel()
    let waitsNot = task.waitsNot {
      switch deed {
      case .release: channel.release(permit)
      case .isHeld: #expect(channel.holds(permit))
      case .cancel: channel.cancel(7)
      case .shut: channel.shut()
      }
    }
    #expect(waitsNot)
    #expect(!task.isOver)
    connection.turn()
    try wait(for: "the task's end") { task.isOver }
    if deed == .release {
      // The end of the connection ends what was sent.
      connection.event()
      try wait(for: "the pings' end") { pinged.value == 2 }
    }
  }

  @Test func aTaskThatIsCancelledIsResumedByWhoeverCancelsIt() async throws {
    let connection = try HandDriven()
    let call = Task.detached(executorPreference: OneThread()) { await connection.ping() }
    try connection.waitUntilOutstanding(1)
    call.cancel()
    let error = await call.value
    #expect(error?.code == .cancelled && error?.mayHaveBeenDecided == true)
  }
}
