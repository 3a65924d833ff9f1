// `--format csv`: one line per row, for scripts and for comparing runs with diff.

import LimitEngine

/// Writes decisions as CSV.
enum DecisionWriter {
  static let header =
    "time,tenant,policy,key,cost,decision,limit,remaining,retry_after_seconds,"
    + "reset_after_seconds,would_have_denied\n"

  /// - Parameters:
  ///   - limitNames: the names of the limits, by index.
  ///   - policyLimits: those of the row's policy, in its order.
  static func write(
    _ decision: borrowing Decision,
    of row: borrowing TraceRow,
    limitNames: [[UInt8]],
    policyLimits: [LimitIndex],
    to output: inout Output
  ) {
    output.append(seconds: row.time)
    output.append(Ascii.comma)
    output.append(field: row.text[row.tenantRange])
    output.append(Ascii.comma)
    output.append(field: row.text[row.policyRange])
    output.append(Ascii.comma)
    output.append(field: row.text[row.keyRange])
    output.append(Ascii.comma)
    output.append(row.cost)
    switch decision.outcome {
    case .allow: output.append(",allow,")
    case .deny: output.append(",deny,")
    case .never: output.append(",never,")
    }
    switch decision.reason {
    case .blocked: output.append("(blocked)")
    case .unknownTenant: output.append("(unknown-tenant)")
    case .limit where decision.limit != .none, .unlimited where decision.limit != .none:
      output.append(field: limitNames[Int(decision.limit.rawValue)][...])
    case .limit, .unlimited: break
    }
    output.append(Ascii.comma)
    output.append(decision.remaining)
    output.append(Ascii.comma)
    if let retryAfter = decision.knownRetryAfter { output.append(seconds: retryAfter) }
    output.append(Ascii.comma)
    output.append(seconds: decision.resetAfter.count)
    output.append(Ascii.comma)
    if decision.receipt.shadow != 0 {
      append(limitsIn: decision.receipt.shadow, limitNames, policyLimits, to: &output)
    }
    output.append(Ascii.lineFeed)
  }

  /// The names of a set of places, with blanks between, which no name has.
  private static func append(
    limitsIn places: UInt16, _ limitNames: [[UInt8]], _ policyLimits: [LimitIndex],
    to output: inout Output
  ) {
    var isFirst = true
    for place in policyLimits.indices where places >> UInt16(place) & 1 == 1 {
      if !isFirst { output.append(Ascii.space) }
      isFirst = false
      output.append(field: limitNames[Int(policyLimits[place].rawValue)][...])
    }
  }
}

extension Decision {
  /// In nanoseconds, 0 where it is allowed; `nil` where no wait is known to help.
  var knownRetryAfter: UInt64? {
    if outcome == .allow { return 0 }
    return retryAfter == Self.noWait ? nil : retryAfter.count
  }
}
