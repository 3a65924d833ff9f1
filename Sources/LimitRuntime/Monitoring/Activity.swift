// Which tenants and keys are decided on most, and denied most, in the last one or two minutes: estimates
// from samples, in bounded memory. A value; whoever has the monitor's lock uses it.

import LimitEngine

/// A tenant, or a key of one, and what became of its queries.
package struct ActivityEntry: Sendable {
  package var tenant: String
  /// `nil`: all of the tenant's. Bytes that are no UTF-8 are replaced.
  package var key: String?
  /// Estimates; exact while there are few decisions.
  package var allowed: UInt64 = 0
  package var denied: UInt64 = 0
}

/// What went on lately.
package struct ActivityReport: Sendable {
  /// How long it is about, in ns.
  package var span: UInt64
  /// In no order.
  package var tenants: [ActivityEntry]
  package var keys: [ActivityEntry]
}

/// Two windows of time, each with its counters: so that what is told is never older than two of them.
struct Activity {
  /// How long a window is, in ns.
  static let window: UInt64 = 60_000_000_000
  static let tenantsMax = 512
  static let keysMax = 1024

  private struct Label {
    var tenant: String
    var key: String?
  }

  private struct Sketches {
    var allowed: SpaceSaving<Label>
    var denied: SpaceSaving<Label>

    init(capacity: Int) {
      allowed = SpaceSaving(capacity: capacity)
      denied = SpaceSaving(capacity: capacity)
    }

    mutating func add(
      _ key: Fingerprint, isDenial: Bool, weight: UInt64, _ label: () -> Label
    ) {
      if isDenial {
        denied.add(key, weight: weight, label: label)
      } else {
        allowed.add(key, weight: weight, label: label)
      }
    }
  }

  private struct Window {
    /// CLOCK_BOOTTIME, in ns.
    var start: UInt64
    var tenants = Sketches(capacity: Activity.tenantsMax)
    var keys = Sketches(capacity: Activity.keysMax)
  }

  private var current: Window
  private var previous: Window?

  /// - Parameter now: CLOCK_BOOTTIME, in ns; likewise below.
  init(at now: UInt64) { current = Window(start: now) }

  /// Begins another window where it is time.
  mutating func pass(to now: UInt64) {
    guard now >= current.start + Self.window else { return }
    previous = now < current.start + 2 * Self.window ? current : nil
    current = Window(start: now)
  }

  mutating func add(
    _ sample: DecisionSample, tenant: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer
  ) {
    let (isDenial, weight) = (sample.outcome != .allow, UInt64(sample.weight))
    func label(_ key: UnsafeRawBufferPointer?) -> Label {
      Label(
        tenant: String(decoding: tenant, as: UTF8.self),
        key: key.map { String(decoding: $0, as: UTF8.self) })
    }
    current.tenants.add(sample.tenant.fingerprint, isDenial: isDenial, weight: weight) {
      label(nil)
    }
    current.keys.add(sample.key, isDenial: isDenial, weight: weight) { label(key) }
  }

  /// O(counters).
  func report(at now: UInt64) -> ActivityReport {
    let windows = [current] + (previous.map { [$0] } ?? [])
    return ActivityReport(
      span: now - min(now, previous?.start ?? current.start),
      tenants: Self.entries(windows.map(\.tenants)), keys: Self.entries(windows.map(\.keys)))
  }

  private static func entries(_ windows: [Sketches]) -> [ActivityEntry] {
    var entries: [Fingerprint: ActivityEntry] = [:]
    func entry(_ label: Label) -> ActivityEntry {
      ActivityEntry(tenant: label.tenant, key: label.key)
    }
    for window in windows {
      for (key, counter) in window.allowed.counters {
        entries[key, default: entry(counter.label)].allowed += counter.count
      }
      for (key, counter) in window.denied.counters {
        entries[key, default: entry(counter.label)].denied += counter.count
      }
    }
    return Array(entries.values)
  }
}
