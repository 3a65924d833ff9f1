// What the package's traits add to the client: a log of what becomes of the daemon, and a service.

import DaemonSupport
import LimitSystem
import TestSupport
import Testing

@testable import LimitClient

#if ServiceLifecycle && SwiftLog
import Logging
import ServiceLifecycle

/// Keeps what is logged.
private final class Lines: Sendable {
  private let lines = Locked<[String]>([])
  var all: [String] { lines.withLock { $0 } }
  func add(_ line: String) { lines.withLock { $0.append(line) } }
}

private struct LinesHandler: LogHandler {
  let lines: Lines
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.trace

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let code = event.metadata?["code"].map { " \($0)" } ?? ""
    let count = event.metadata?["count"].map { " \($0)" } ?? ""
    lines.add("\(event.level) \(event.message)\(code)\(count)")
  }
}

private func logger(_ lines: Lines) -> Logger {
  Logger(label: "test") { _ in LinesHandler(lines: lines) }
}

extension DaemonTests {
  @Suite struct TraitTests {
    @Test func awayBackAndLostPermitsAreLogged() throws {
      let daemon = try TestDaemon()
      let lines = Lines()
      let client = BlockingLimitClient(
        .test(daemon.socketPath), observer: LoggingObserver(logger(lines)))
      let permit = try client.acquire(tenant: "acme", policy: "held").permit
      daemon.kill()
      try wait(for: "the loss to be logged") { lines.all.count == 2 }
      try daemon.start()
      #expect(try client.check(tenant: "acme", policy: "few").isAllowed)
      try wait(for: "the return to be logged") { lines.all.count == 3 }
      #expect(
        lines.all == [
          "warning limitd is away connectionLost", "warning permits were lost 1",
          "notice limitd is back",
        ])
      withExtendedLifetime(permit) {}
    }

    /// A service that holds a permit until the group shuts down.
    private struct Holder: Service {
      let client: AsyncLimitClient
      let told: Lines

      func run() async throws {
        let permit = try await client.acquire(tenant: "acme", policy: "held").permit
        told.add("held \(permit?.isHeld ?? false)")
        try? await gracefulShutdown()
        // The client is still there for what comes behind it.
        told.add("held \(permit?.isHeld ?? false)")
      }
    }

    @Test func aServiceGroupEndsTheClientBehindWhatAsksIt() async throws {
      let daemon = try TestDaemon()
      let client = AsyncLimitClient(.test(daemon.socketPath))
      let told = Lines()
      let group = ServiceGroup(
        services: [client, Holder(client: client, told: told)], logger: logger(Lines()))
      async let running: Void = group.run()
      while told.all.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
      await group.triggerGracefulShutdown()
      try await running
      #expect(told.all == ["held true", "held true"])
      var code: LimitClientError.Code?
      do throws(LimitClientError) {
        _ = try await client.check(tenant: "acme", policy: "few")
      } catch { code = error.code }
      #expect(code == .closed)
    }
  }
}
#endif
