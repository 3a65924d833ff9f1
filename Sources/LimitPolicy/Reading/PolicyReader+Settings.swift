// Parameters of limits, wherever they are written: their values, their ranges, and what they come
// to together.

import LimitEngine

extension Parameter {
  /// A value that is right.
  var example: String {
    switch self {
    case .rate: "100/s"
    case .burst: "200"
    case .limit: "1000"
    case .window: "1m"
    case .soft: "80%"
    case .mode: "shadow"
    }
  }
}

extension PolicyReader {
  /// Reads one parameter of a limit; reports and drops what the limit does not have.
  ///
  /// - Parameter isDefinition: whether the limit is being defined, and not overridden.
  mutating func setting(
    _ entry: Entry,
    of limit: LimitDraft,
    _ subject: Subject,
    isDefinition: Bool
  ) -> Setting? {
    let parameters = limit.algorithm?.parameters ?? Parameter.allCases
    guard let parameter = Parameter(rawValue: entry.name) else {
      if !isDefinition, Identity(rawValue: entry.name) != nil {
        error(
          entry.key.position,
          "\(subject): \(entry.name) cannot be overridden; define another limit for that"
        )
      } else {
        let identity = isDefinition ? Identity.allCases.map(\.rawValue) : []
        unknownKey(
          entry.name,
          at: entry.key,
          in: subject,
          known: identity + parameters.map(\.rawValue)
        )
      }
      return nil
    }
    guard parameters.contains(parameter) else {
      error(
        entry.key.position,
        "\(subject): a \(limit.algorithm!.name) limit has no \(parameter.rawValue); it has "
          + list(parameters.map(\.rawValue))
      )
      return nil
    }
    if !isDefinition, limit.scope?.value == .global, parameter != .soft, parameter != .mode {
      error(
        entry.key.position,
        "\(subject): \(parameter.rawValue) cannot be overridden, because the limit is global and "
          + "everybody shares its one bucket; only soft and mode can"
      )
      return nil
    }
    guard let value = value(of: parameter, entry.value, subject) else { return nil }
    return Setting(parameter: parameter, value: value, position: entry.value.position)
  }

  private mutating func value(
    of parameter: Parameter,
    _ node: YAMLNode,
    _ subject: Subject
  ) -> Setting.Value? {
    if parameter == .mode {
      let modes: [LimitMode] = [.enforce, .shadow]
      return choice(node, subject, "mode", modes.map { ($0.name, $0) }).map { .mode($0) }
    }
    guard
      let text = text(
        of: node,
        subject,
        "\(parameter.rawValue) must be a value such as \(parameter.example)"
      )
    else { return nil }
    do throws(QuantityError) {
      switch parameter {
      case .rate:
        let rate = try Quantity.rate(text)
        warnOfRounding(rate, subject, at: node)
        return .rate(rate)
      case .burst:
        return count(
          try Quantity.count(text),
          max: TokenBucket.Parameters.burstMax,
          parameter,
          node,
          subject
        )
      case .limit:
        return count(
          try Quantity.count(text),
          max: SlidingWindow.Parameters.limitMax,
          parameter,
          node,
          subject
        )
      case .window:
        return window(try Quantity.duration(text), node, subject)
      case .soft:
        return .percent(try Quantity.percent(text))
      case .mode:
        return nil
      }
    } catch {
      self.error(node.position, "\(subject): \(parameter.rawValue) \(error.message)")
      return nil
    }
  }

  private mutating func count(
    _ count: UInt64,
    max: UInt64,
    _ parameter: Parameter,
    _ node: YAMLNode,
    _ subject: Subject
  ) -> Setting.Value? {
    if count == 0 {
      error(
        node.position,
        "\(subject): \(parameter.rawValue) 0 could never admit anything; write at least 1"
      )
      return nil
    }
    guard count <= max else {
      error(
        node.position,
        "\(subject): \(parameter.rawValue) \(Quantity.text(count: count)) is above the maximum; write at "
          + "most \(Quantity.text(count: max))"
      )
      return nil
    }
    return .count(count)
  }

  private mutating func window(
    _ window: Nanoseconds,
    _ node: YAMLNode,
    _ subject: Subject
  ) -> Setting.Value? {
    let range = SlidingWindow.Parameters.windowMin...SlidingWindow.Parameters.windowMax
    guard range.contains(window) else {
      error(
        node.position,
        "\(subject): window \(Quantity.text(duration: window)) is out of range; write "
          + "\(Quantity.text(duration: range.lowerBound)) to "
          + Quantity.text(duration: range.upperBound)
      )
      return nil
    }
    return .duration(window)
  }

  /// Warns where whole nanoseconds per unit change a rate by more than 0.1 %.
  private mutating func warnOfRounding(_ rate: Rate, _ subject: Subject, at node: YAMLNode) {
    let (lost, whole) = rate.roundingLoss
    guard lost * 1_000 > whole else { return }
    let percent = Quantity.decimal(lost * 10_000 / whole, decimals: 2)
    warning(
      node.position,
      "\(subject): rate \(Quantity.text(rate: rate)) becomes "
        + "\(Quantity.text(effectiveRate: rate)), \(percent) % less: one unit per whole "
        + "\(Quantity.text(duration: rate.emissionInterval)); write a rate that divides 1G/s"
    )
  }

  /// Checks that the engine can hold the parameters together: those written in one place, laid
  /// over those below.
  mutating func checkTogether(
    _ settings: [Setting],
    over below: [[Setting]],
    of limit: LimitDraft,
    _ subject: Subject
  ) {
    guard limit.algorithm == .tokenBucket,
      let blamed = settings.first(where: { $0.parameter == .burst })
        ?? settings.first(where: { $0.parameter == .rate })
    else { return }
    let effective = EffectiveParameters(below.flatMap { $0 }, settings)
    guard let rate = effective.rate, let burst = effective.burst,
      effective.settings(for: .tokenBucket) == nil
    else { return }
    error(
      blamed.position,
      "\(subject): burst \(Quantity.text(count: burst)) at \(Quantity.text(rate: rate)) takes "
        + "longer than 2^59 ns (18 years) to fill; lower the burst or raise the rate"
    )
  }
}
