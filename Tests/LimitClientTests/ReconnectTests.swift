// One client whose connection ends again and again: it opens another each time, and leaks nothing.

import DaemonSupport
import Foundation
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct ReconnectTests {
    private func descriptors() throws -> Int {
      try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }

    @Test(arguments: ClientKind.allCases)
    func aConnectionOpensAgainManyTimesWithoutALeak(_ kind: ClientKind) throws {
      let conversations = 22_000
      let server = try LyingServer(isOneByOne: true) { conversation in
        try conversation.greet()
        conversation.answer(try conversation.next())
      }
      let client = EitherClient(kind, .test(server.path))
      _ = try client.ping()
      let before = try descriptors()
      // Some are lost with the connection that the server is about to close.
      for _ in 0..<20 * conversations where server.conversationCount < conversations {
        _ = try? client.ping()
      }
      #expect(server.conversationCount >= conversations)
      try wait(for: "both sides to close") { try descriptors() <= before + 2 }
    }

    /// Between calls nobody receives for a blocking client.
    @Test(arguments: ClientKind.allCases)
    func aGreetingThatCameInTimeCountsThoughNobodyReceivedItThen(_ kind: ClientKind) throws {
      let (gate, greeted) = (Gate(), Count())
      let server = try LyingServer { conversation in
        gate.pass()
        try conversation.greet()
        greeted.add()
        while true { conversation.answer(try conversation.next()) }
      }
      let connectTimeout = Duration.seconds(3)
      let client = EitherClient(kind, .test(server.path) { $0.connectTimeout = connectTimeout })
      let start = Moment.now
      let options = CallOptions(timeout: .milliseconds(50))
      #expect(throws: LimitClientError.self) { try client.check(Self.query, options) }
      gate.open()
      try wait(for: "the greeting") { greeted.value > 0 }
      let isInTime = Moment.now < start.advanced(by: connectTimeout / 2)
      Moment.sleep(until: start.advanced(by: connectTimeout + .milliseconds(100)))
      // One that came late may have ended the attempt; the next call makes another.
      if isInTime {
        #expect(try client.check(Self.query, CallOptions()).isAllowed)
        #expect(server.conversationCount == 1)
      }
    }

    /// Of a call that brings no permit nobody awaits the answer once its caller has gone.
    @Test func anAnswerThatLiesThereIsHeardBeforeItsSenderCountsAsSilent() throws {
      let (gate, answered) = (Gate(), Count())
      let server = try LyingServer { conversation in
        try conversation.greet()
        conversation.answer(try conversation.next())
        let request = try conversation.next()
        gate.pass()
        conversation.answer(request)
        answered.add()
        while true { conversation.answer(try conversation.next()) }
      }
      let client = BlockingLimitClient(.test(server.path))
      _ = try client.ping()
      #expect(throws: LimitClientError.self) { try client.ping(timeout: .milliseconds(50)) }
      gate.open()
      try wait(for: "the answer") { answered.value > 0 }
      Moment.sleep(until: .after(SilenceWatch.silenceMax + .milliseconds(100)))
      _ = try client.ping()
      #expect(server.conversationCount == 1)
    }

    /// A thread that waits for nothing else leaves it to the client's loop, time after time.
    @Test(arguments: ClientKind.allCases)
    func permitsThatComeTooLateGoBackWithoutAnotherCall(_ kind: ClientKind) throws {
      let (gate, acquired) = (Gate(), Count())
      let server = try LyingServer { conversation in
        try conversation.greet()
        while true {
          let request = try conversation.next()
          if [.acquire, .acquireByName].contains(request.operation) {
            if acquired.value > 0 { gate.pass() }
            acquired.add()
          }
          conversation.answer(request)
        }
      }
      let client = EitherClient(kind, .test(server.path))
      try client.acquire(Self.query, CallOptions()).permit?.release()
      // The loop has had the answer to that.
      try wait(for: "the release") { server.count(.release) == 1 }
      usleep(100_000)
      let options = CallOptions(timeout: .milliseconds(50))
      #expect(throws: LimitClientError.self) { try client.acquire(Self.query, options) }
      gate.open()
      try wait(for: "the late permit to go back") { server.count(.release) == 2 }
      #expect(server.conversationCount == 1)
    }

    private static let query = LimitQuery(tenant: "acme", policy: "p")
  }
}
