// What systemd hears of a daemon that serves: that its event loops live, and how it does.

import LimitEngine
import LimitRuntime
import LimitServer
import LimitSystem
import LimitSystemd

/// Signs of life and the status line. The daemon's first thread uses it, every `tickNanoseconds`.
struct LifeSigns {
  /// How often the status line is told, in ns. Also what its rate is taken over.
  private static let statusNanoseconds: UInt64 = 5_000_000_000

  /// Told of every loop's life since the last time, where systemd wants to know.
  private let isWatched: Bool
  /// Of the last status: when, and how many decisions there had been.
  private var status: (time: UInt64, decisionCount: UInt64)

  /// How often `tick` is to be called, in ns: every second, and often enough that a loop which misses
  /// one tick, since its turn is long, is not taken for dead.
  static func tickNanoseconds() -> UInt64 {
    let period = ServiceManager.watchdogMicroseconds().map { $0 * 1000 / 4 } ?? .max
    return min(1_000_000_000, max(period, 1_000_000))
  }

  init() {
    isWatched = ServiceManager.watchdogMicroseconds() != nil
    status = (Clock.bootNanoseconds(), 0)
  }

  /// The daemon serves.
  func tellReady() { ServiceManager.tell(.ready, .status("serving; nothing asked yet")) }

  /// Says that the loops live, if they do, and how the daemon does, if that is due.
  mutating func tick(_ server: borrowing Server, _ runtime: Runtime) {
    if isWatched, server.isAlive() { ServiceManager.tell(.alive) }
    let now = Clock.bootNanoseconds()
    guard now - status.time >= Self.statusNanoseconds else { return }
    let count = runtime.decisionCount
    let rate = Double(count - status.decisionCount) / Double(now - status.time) * 1e9
    status = (now, count)
    ServiceManager.tell(.status(Self.line(server, runtime, perSecond: UInt64(rate.rounded()))))
  }

  private static func line(
    _ server: borrowing Server, _ runtime: Runtime, perSecond rate: UInt64
  ) -> String {
    let buckets = [Scope.key, .tenant, .global].reduce(0) { $0 + runtime.engine.occupancy($1).live }
    return "\(runtime.rulebook.policies.namedTenantCount) named tenants, \(buckets) buckets, "
      + "\(rate) decisions/s, \(server.quota.connectionCount) connections"
  }
}
