// Batches that wait for what is not theirs: room to send, a bind.

import DaemonSupport
import Glibc
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct BatchesTogetherTests {
    /// More of them than there is room for on one connection.
    private static let batches = 6
    private let queries = (0..<20_000).map { number in
      LimitQuery(tenant: "acme", policy: "many", key: "user-\(number)")
    }

    /// A daemon that reads nothing, and a client that it knows.
    private func pausedDaemon() throws -> (TestDaemon, BlockingLimitClient) {
      let daemon = try TestDaemon()
      let client = BlockingLimitClient(.test(daemon.socketPath))
      _ = try client.check(tenant: "acme", policy: "many")
      daemon.pause()
      return (daemon, client)
    }

    @Test func batchesOfThreadsThatFindNoRoomGoOnWhenThereIs() throws {
      let (daemon, client) = try pausedDaemon()
      let process = daemon.process
      let decided = Count()
      onThreads(Self.batches + 1) { thread in
        guard thread < Self.batches else {
          Moment.sleep(until: .after(.milliseconds(300)))
          kill(process, SIGCONT)
          return
        }
        let results = client.batch(queries, CallOptions(timeout: .patience))
        if results.allSatisfy({ (try? $0.get())?.isAllowed == true }) { decided.add() }
      }
      #expect(decided.value == Self.batches)
    }

    @Test func batchesOfTasksThatFindNoRoomGoOnWhenThereIs() async throws {
      let daemon = try TestDaemon()
      let client = AsyncLimitClient(.test(daemon.socketPath))
      _ = try await client.check(tenant: "acme", policy: "many")
      daemon.pause()
      let decided = await withTaskGroup { group in
        for _ in 0..<Self.batches {
          group.addTask {
            let results = await client.batch(queries, CallOptions(timeout: .patience))
            return results.allSatisfy { (try? $0.get())?.isAllowed == true }
          }
        }
        try? await Task.sleep(for: .milliseconds(300))
        daemon.signal(SIGCONT)
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(decided == Self.batches)
    }

    @Test func aBatchWhoseBindIsLostWithItsConnectionEndsAtOnce() throws {
      let (daemon, client) = try pausedDaemon()
      let process = daemon.process
      let start = Moment.now
      onThreads(2) { thread in
        guard thread == 0 else {
          Moment.sleep(until: .after(.milliseconds(300)))
          kill(process, SIGKILL)
          return
        }
        let query = LimitQuery(tenant: "other", policy: "many")
        let results = client.batch([query], CallOptions(timeout: .patience))
        let error = failure { () throws(LimitClientError) in try results[0].get() }
        #expect(error?.isAway == true)
      }
      #expect(Moment.now.since(start) < .patience / 3)
    }
  }
}
