// Batches of the blocking client.

import DaemonSupport
import Foundation
import Glibc
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct BlockingBatchTests {
    private func client(_ daemon: TestDaemon)
      -> BlockingLimitClient
    { BlockingLimitClient(.test(daemon.socketPath)) }

    @Test func aBatchDecidesEachForItselfInOrder() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      var queries = (0..<7).map { _ in LimitQuery(tenant: "acme", policy: "few", key: "b") }
      queries.append(LimitQuery(tenant: "acme", policy: "none", key: "b"))
      queries.append(LimitQuery(tenant: "", policy: "few", key: "b"))
      queries.append(
        LimitQuery(tenant: "acme", policy: "few", key: LimitKey(bytes: [1, 2]), cost: 9))
      queries.append(
        LimitQuery(
          tenant: "acme", policy: "few", key: LimitKey(bytes: Array(repeating: 1, count: 2000))))
      for round in 0..<2 {
        let start = clockSeconds()
        let results = client.batch(queries)
        // Waits for answers, not for its deadline, whatever was not asked.
        #expect(clockSeconds() - start < 100)
        let outcomes = try results[0..<7].map { try $0.get().outcome }
        let allowed = round == 0 ? 5 : 0
        #expect(outcomes == (0..<7).map { $0 < allowed ? .allow : .deny })
        #expect(try results[0..<7].allSatisfy { try $0.get().limit == "few" })
        #expect(
          failure { () throws(LimitClientError) in try results[7].get() }?.daemonError
            == .unknownPolicy)
        #expect(
          failure { () throws(LimitClientError) in try results[8].get() }?.code == .invalidArgument)
        #expect(try results[9].get().outcome == .never)
        #expect(
          failure { () throws(LimitClientError) in try results[10].get() }?.code == .invalidArgument
        )
      }
    }

    @Test func aBatchOfManyTenantsIsDecidedWhole() throws {
      let daemon = try TestDaemon { $0.settings = "  limits: {handles: 8}" }
      let client = client(daemon)
      let queries = (0..<20_000).map { LimitQuery(tenant: "t-\($0 % 50)", policy: "many") }
      let results = client.batch(queries)
      #expect(try results.allSatisfy { try $0.get().isAllowed })
      for tenant in 0..<50 {
        let decision = try client.peek(tenant: "t-\(tenant)", policy: "many")
        #expect(decision.remaining == 10_000_000_000 - 400)
      }
    }

    @Test func aBatchReturnsAtItsDeadlineAndSaysWhatMayHaveBeenDecided() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      _ = try client.check(tenant: "acme", policy: "many")
      daemon.pause()
      let queries = (0..<400_000).map { _ in LimitQuery(tenant: "acme", policy: "many") }
      let (start, worked) = (clockSeconds(), clockSeconds(CLOCK_THREAD_CPUTIME_ID))
      let results = client.batch(queries, CallOptions(timeout: .milliseconds(250)))
      // Generous: a loaded machine is late, but makes no thread work more.
      #expect(clockSeconds() - start < 10)
      #expect(clockSeconds(CLOCK_THREAD_CPUTIME_ID) - worked < 0.75)
      daemon.signal(SIGCONT)
      var perhaps = 0
      for result in results {
        let error = failure { () throws(LimitClientError) in try result.get() }
        #expect(error?.code == .timedOut)
        if error?.mayHaveBeenDecided == true { perhaps += 1 }
      }
      // Most were never sent, and the caller knows it.
      #expect(perhaps > 0 && perhaps < 100_000)
    }
  }
}
