// The connection by hand: what is wrong with a request is said and nothing is sent, and what the
// daemon refuses is an error.

import DaemonSupport
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct PipelinedConnectionTests {
    /// Queues a check by handle 0.
    private func query(
      _ connection: PipelinedConnection, cost: UInt64 = 1, keyBytes: Int = 1, id: UInt32
    ) -> LimitClientError? {
      failure { () throws(LimitClientError) in
        try [UInt8](repeating: 0x6B, count: keyBytes).withBytes { key throws(LimitClientError) in
          try connection.query(.check, handle: 0, cost: cost, key: key, id: id)
        }
      }
    }

    @Test func aRefusedBindIsAnErrorAndTheConnectionGoesOn() throws {
      let daemon = try TestDaemon()
      let connection = try PipelinedConnection.open(.test(daemon.socketPath))
      let refused = failure { () throws(LimitClientError) in
        try connection.bind(handle: 0, tenant: "acme", policy: "none")
      }
      #expect(refused?.code == .refused && refused?.daemonError == .unknownPolicy)
      let beyond = failure { () throws(LimitClientError) in
        try connection.bind(handle: connection.hello.handlesMax, tenant: "acme", policy: "few")
      }
      #expect(beyond?.daemonError == .limitReached)
      #expect(try connection.bind(handle: 0, tenant: "acme", policy: "few").limits.count == 1)
      #expect(query(connection, id: 1) == nil)
      // Its own reply would come behind that of the query.
      let early = failure { () throws(LimitClientError) in
        try connection.bind(handle: 1, tenant: "acme", policy: "few")
      }
      #expect(early?.code == .invalidArgument)
      try connection.flush(timeout: .patience)
      guard case .decision(1, let record, _) = try connection.nextReply(timeout: .patience)
      else {
        Issue.record("no decision")
        return
      }
      #expect(record.outcome == .allow)
    }

    @Test func whatIsOutOfBoundsIsAnErrorAndSendsNothing() throws {
      let daemon = try TestDaemon()
      let connection = try PipelinedConnection.open(.test(daemon.socketPath))
      _ = try connection.bind(handle: 0, tenant: "acme", policy: "few")
      #expect(query(connection, cost: 1 << 50, id: 1)?.code == .invalidArgument)
      #expect(query(connection, cost: .max, id: 1)?.code == .invalidArgument)
      #expect(query(connection, keyBytes: 1025, id: 1)?.code == .invalidArgument)
      #expect(query(connection, id: 0)?.code == .invalidArgument)
      #expect(
        failure { () throws(LimitClientError) in try connection.release(permit: 1, id: 0) }?.code
          == .invalidArgument)
      #expect(
        failure { () throws(LimitClientError) in try connection.batch([], id: 1) }?.code
          == .invalidArgument)
      #expect(connection.outstanding == 0)
      // The largest that there is goes through.
      #expect(query(connection, cost: (1 << 48) - 1, keyBytes: 1024, id: .max) == nil)
      try connection.flush(timeout: .patience)
      guard case .decision(.max, let record, _) = try connection.nextReply(timeout: .patience)
      else {
        Issue.record("no decision")
        return
      }
      #expect(record.outcome == .never)
    }

    @Test func nothingInTimeIsNoReply() throws {
      let server = try LyingServer { conversation in
        try conversation.greet()
        while true { _ = try conversation.next() }
      }
      let connection = try PipelinedConnection.open(.test(server.path))
      #expect(query(connection, id: 1) == nil)
      try connection.flush(timeout: .patience)
      #expect(try connection.nextReply(timeout: .milliseconds(20)) == nil)
      #expect(try connection.nextReply(timeout: .zero) == nil)
      #expect(connection.outstanding == 1)
    }
  }
}
