// What a policy file can say about a limit, and how what base, plan and tenant say adds up.
// Values and pure functions.

package import LimitEngine

/// What can be written under a limit's name and differ between plans and tenants.
enum Parameter: String, CaseIterable {
  case rate, burst, limit, window, soft, mode
}

/// What makes a limit the limit that it is: written in its definition only.
enum Identity: String, CaseIterable {
  case algorithm, scope, unit
}

extension Algorithm {
  /// Its name in policy files.
  package var name: String {
    switch self {
    case .tokenBucket: "token-bucket"
    case .slidingWindow: "sliding-window"
    case .concurrency: "concurrency"
    }
  }

  /// What a definition of it must give.
  var required: [Parameter] {
    switch self {
    case .tokenBucket: [.rate, .burst]
    case .slidingWindow: [.limit, .window]
    case .concurrency: [.limit]
    }
  }

  /// What may be written for it.
  var parameters: [Parameter] { required + [.soft, .mode] }
}

extension Scope {
  /// Its name in policy files.
  package var name: String {
    switch self {
    case .key: "key"
    case .tenant: "tenant"
    case .global: "global"
    }
  }
}

extension LimitMode {
  /// Its name in policy files.
  package var name: String {
    switch self {
    case .enforce: "enforce"
    case .shadow: "shadow"
    }
  }
}

/// One parameter as written somewhere.
struct Setting {
  enum Value {
    case rate(Rate)
    case count(UInt64)
    case duration(Nanoseconds)
    case percent(Percent)
    case mode(LimitMode)
  }

  let parameter: Parameter
  let value: Value
  let position: Position

  /// The value as the file would have it.
  var text: String {
    switch value {
    case .rate(let rate): Quantity.text(rate: rate)
    case .count(let count): Quantity.text(count: count)
    case .duration(let duration): Quantity.text(duration: duration)
    case .percent(let percent): Quantity.text(percent: percent)
    case .mode(let mode): mode.name
    }
  }
}

/// What one plan or tenant writes about one limit.
struct Override {
  /// The limit's place in the file's list of limits.
  let limit: Int
  let settings: [Setting]
}

/// The parameters that are in force for a limit once base, plan and tenant are laid over each
/// other, the last one on top.
struct EffectiveParameters {
  private(set) var rate: Rate?
  private(set) var burst: UInt64?
  private(set) var limit: UInt64?
  private(set) var window: Nanoseconds?
  private(set) var soft: Percent?
  private(set) var mode: LimitMode?

  init(_ layers: [Setting]...) {
    for layer in layers { for setting in layer { apply(setting) } }
  }

  private mutating func apply(_ setting: Setting) {
    switch (setting.parameter, setting.value) {
    case (.rate, .rate(let value)): rate = value
    case (.burst, .count(let value)): burst = value
    case (.limit, .count(let value)): limit = value
    case (.window, .duration(let value)): window = value
    case (.soft, .percent(let value)): soft = value
    case (.mode, .mode(let value)): mode = value
    default: preconditionFailure("a setting's value is of its parameter's kind")
    }
  }

  /// The engine's settings; `nil` where a parameter is missing, or the engine cannot hold them
  /// together (a token bucket that takes longer than `toleranceMax` to fill).
  func settings(for algorithm: Algorithm) -> LimitSettings? {
    guard let parameters = parameters(for: algorithm) else { return nil }
    return LimitSettings(
      parameters: parameters,
      softThreshold: soft.map { $0.of(parameters.capacity) },
      mode: mode ?? .enforce
    )
  }

  private func parameters(for algorithm: Algorithm) -> LimitParameters? {
    switch algorithm {
    case .tokenBucket:
      guard let rate, let burst else { return nil }
      return TokenBucket.Parameters(rate: rate.count, per: rate.period, burst: burst).map {
        .tokenBucket($0)
      }
    case .slidingWindow:
      guard let limit, let window else { return nil }
      return SlidingWindow.Parameters(limit: limit, window: window).map { .slidingWindow($0) }
    case .concurrency:
      guard let limit else { return nil }
      return Concurrency.Parameters(limit: limit).map { .concurrency($0) }
    }
  }
}

extension PolicyFile {
  /// What can be written of a limit, and differ between plans and tenants.
  public static var parameterNames: [String] { Parameter.allCases.map(\.rawValue) }
}
