// Many threads on one connection: each call goes out at once, and each thread has its turn.

import TestSupport
import Testing

@testable import LimitClient

@Suite struct BlockingFairnessTests {
  /// The server answers the oldest request once it has one of every thread: were one thread's call to
  /// wait for another's, it would have to wait for ever. Time decides nothing here.
  @Test func aHundredThreadsAreOnTheirWayTogetherAndAnsweredInTurn() throws {
    let (threads, rounds) = (128, 20)
    let (isOver, failures) = (Count(), Count())
    let server = try LyingServer { conversation in
      try conversation.greet()
      var waiting: [Conversation.Request] = []
      for _ in 0..<threads * rounds {
        while waiting.count < threads { waiting.append(try conversation.next()) }
        conversation.answer(waiting.removeFirst())
      }
      while waiting.count < threads { waiting.append(try conversation.next()) }
      isOver.add()
      for request in waiting { conversation.answer(request) }
      _ = try conversation.next()
    }
    let client = BlockingLimitClient(.test(server.path))
    let answers = (0..<threads).map { _ in Count() }
    onThreads(threads) { thread in
      while isOver.value == 0 && failures.value == 0 {
        do throws(LimitClientError) {
          _ = try client.ping()
          answers[thread].add()
        } catch {
          failures.add()
        }
      }
    }
    #expect(failures.value == 0)
    #expect(answers.allSatisfy { $0.value == rounds + 1 })
  }
}
