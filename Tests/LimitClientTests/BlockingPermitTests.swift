// Permits of the blocking client: none is lost, whatever the caller, the daemon or a fork does.

import DaemonSupport
import Foundation
import Glibc
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct BlockingPermitTests {
    private func client(_ daemon: TestDaemon, observer: (any LimitClientObserver)? = nil)
      -> BlockingLimitClient
    { BlockingLimitClient(.test(daemon.socketPath), observer: observer) }

    @Test func aHundredThreadsInAHurryLoseNoPermit() throws {
      let daemon = try TestDaemon { options in
        options.policy = """
          limits:
            held: {algorithm: concurrency, limit: 8, scope: tenant}
          policies: {held: [held]}
          tenants: {"*": {}}
          """
      }
      let client = client(daemon)
      for timeout in [Duration.milliseconds(250), .milliseconds(25), .milliseconds(2)] {
        onThreads(128) { _ in
          for _ in 0..<20 {
            if let acquisition = try? client.acquire(
              tenant: "acme", policy: "held", timeout: timeout)
            {
              acquisition.permit?.release()
            }
          }
        }
        // What came too late goes back by itself.
        try wait(for: "all permits") {
          try client.peek(tenant: "acme", policy: "held").remaining == 8
        }
      }
    }

    @Test func aPauseOfTheDaemonLosesNoPermit() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      var permits = [try client.acquire(tenant: "acme", policy: "held").permit]
      daemon.pause()
      // One is released, and another asked for, while nobody answers.
      permits[0]?.release()
      for _ in 0..<20 {
        #expect(
          failure { () throws(LimitClientError) in
            try client.acquire(tenant: "acme", policy: "held", timeout: .milliseconds(30))
          }?.code == .timedOut)
      }
      daemon.signal(SIGCONT)
      permits = []
      try wait(for: "all permits") {
        try client.peek(tenant: "acme", policy: "held").remaining == 2
      }
    }

    @Test func aPermitIsHeldUntilItIsReleasedOrItsDaemonEnds() throws {
      let daemon = try TestDaemon()
      let observer = RecordingObserver()
      let client = client(daemon, observer: observer)
      let first = try #require(try client.acquire(tenant: "acme", policy: "held").permit)
      let second = try #require(try client.acquire(tenant: "acme", policy: "held").permit)
      #expect(first.isHeld && second.isHeld)
      let full = try client.acquire(tenant: "acme", policy: "held")
      #expect(full.decision.outcome == .deny && full.decision.retryAfter == nil)
      do {
        defer { first.release() }
        #expect(first.isHeld)
      }
      #expect(!first.isHeld && second.isHeld)
      #expect(try client.peek(tenant: "acme", policy: "held").remaining == 1)
      daemon.kill()
      // Told though nobody asks.
      try wait(for: "the loss to be told") { observer.words.contains("lost 1") }
      #expect(!second.isHeld)
      try daemon.start()
      #expect(try client.check(tenant: "acme", policy: "few").isAllowed)
      // Released late: it harms nobody.
      second.release()
      try wait(for: "the return to be told") { observer.words.count == 3 }
      #expect(observer.words == ["away connectionLost", "lost 1", "back"])
    }

    @Test func workUnderAPermitGivesItBackHoweverItEnds() throws {
      struct Failure: Error {}
      let daemon = try TestDaemon()
      let client = client(daemon)
      let outcome = try client.withPermit(tenant: "acme", policy: "held") { acquisition in
        #expect(acquisition.permit?.isHeld == true)
        return try client.peek(tenant: "acme", policy: "held").remaining
      }
      #expect(outcome.value == 1)
      #expect(throws: Failure.self) {
        _ = try client.withPermit(tenant: "acme", policy: "held") { _ in throw Failure() }
      }
      #expect(try client.peek(tenant: "acme", policy: "held").remaining == 2)
      let refused = try client.withPermit(tenant: "banned", policy: "held") { _ in 1 }
      #expect(refused.value == nil)
    }

    @Test func aForkedProcessIsToldToMakeItsOwnClient() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      let permit = try #require(try client.acquire(tenant: "acme", policy: "held").permit)
      #expect(
        inForkedChild {
          let error = failure { () throws(LimitClientError) in
            try client.check(tenant: "acme", policy: "few")
          }
          permit.release()
          return error?.code == .forked && !permit.isHeld
        })
      // The child has closed nothing, and released nothing.
      #expect(permit.isHeld)
      #expect(try client.peek(tenant: "acme", policy: "held").remaining == 1)
    }
  }
}
