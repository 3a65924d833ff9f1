// What many tasks ask at the same time goes out together.

import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

@Suite struct CoalescingTests {
  /// Whoever asks while little is on its way sends at once; the loop sends all that gathers behind.
  @Test func whatManyTasksAskGoesOutInOnePiece() async throws {
    let connection = try HandDriven()
    let taskCount = 200
    let thread = OneThread()
    for _ in 0..<3 {
      let before = connection.server.receptionCount
      let calls = (0..<taskCount).map { _ in
        Task.detached(executorPreference: thread) { await connection.ping() }
      }
      try connection.waitUntilOutstanding(taskCount)
      connection.turn()
      let requests = try (0..<taskCount).map { _ in try connection.server.next() }
      #expect(connection.server.receptionCount - before == 3)
      // The answers come in one piece, too.
      connection.server.answer(requests)
      connection.event()
      for call in calls { #expect(await call.value == nil) }
    }
  }
}
