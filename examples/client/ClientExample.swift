// What docs/CLIENT.md shows, as a program: a test runs it against a daemon, and sees to it that the
// page shows nothing else.

import LimitClient

@main struct ClientExample {
  static func main() async throws {
    try Blocking().run()
    let limits = AsyncLimitClient(ClientConfiguration(callTimeout: .seconds(5)))
    try await Gateway(limits).run()
  }
}

/// Code that may block.
struct Blocking {
  func run() throws {
    let limits = BlockingLimitClient(ClientConfiguration(callTimeout: .seconds(5)))
    let decision = try limits.check(tenant: "acme", policy: "gateway", key: "bob")
    print(decision.outcome, decision.limit ?? "-", decision.remaining)
    try resize(limits)
    try estimate(limits)
    try whenAway()
  }

  func resize(_ limits: BlockingLimitClient) throws {
    let outcome = try limits.withPermit(tenant: "acme", policy: "resize") { _ in
      "resized"
    }
    switch outcome {
    case .done(let text): print(text)
    case .refused(let decision): print("busy:", decision.limit ?? "-")
    }
  }

  func estimate(_ limits: BlockingLimitClient) throws {
    let decision = try limits.check(tenant: "acme", policy: "chat", key: "bob", cost: 2000)
    guard decision.isAllowed else { return }
    // The model took less than was estimated: the rest is given back.
    try limits.settle(decision.receipt, actual: 1312)
    print("settled", try limits.peek(tenant: "acme", policy: "chat", key: "bob").remaining)
  }

  func whenAway() throws {
    let nowhere = BlockingLimitClient(ClientConfiguration(socketPath: "/nowhere/limitd.sock"))
    let decision = try nowhere.check(
      tenant: "acme", policy: "gateway", whenAway: .deny(retryAfter: .seconds(2)))
    print("away:", decision.outcome, decision.retryAfterSeconds ?? 0)
  }
}

/// Async code. It takes whoever decides, so that its tests need no daemon.
struct Gateway<Limits: LimitChecking> {
  let limits: Limits

  init(_ limits: Limits) { self.limits = limits }

  func status(tenant: String, user: String) async throws -> (Int, retryAfter: UInt64?) {
    let decision = try await limits.check(
      tenant: tenant, policy: "gateway", key: user, timeout: .milliseconds(500), whenAway: .allow)
    return decision.isAllowed ? (200, nil) : (429, decision.retryAfterSeconds)
  }

  func run() async throws {
    print(try await status(tenant: "acme", user: "bob").0)
    let results = await limits.batch([
      LimitQuery(tenant: "acme", policy: "gateway", key: "eve"),
      LimitQuery(tenant: "acme", policy: "no-such-policy", key: "eve"),
    ])
    for result in results {
      switch result {
      case .success(let decision): print(decision.outcome)
      case .failure(let error): print(error.code, error.mayHaveBeenDecided)
      }
    }
    let permit = try await limits.acquire(tenant: "acme", policy: "resize").permit
    defer { permit?.release() }
    print("held:", permit?.isHeld ?? false)
  }
}
