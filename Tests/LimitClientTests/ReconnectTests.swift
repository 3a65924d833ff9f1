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
  }
}
