// `--format csv`: one line per row, for scripts and for comparing runs with diff.

import LimitEngine

/// Writes decisions as CSV.
enum DecisionWriter {
  static let header: StaticString =
    "time,tenant,policy,key,cost,decision,limit,remaining,retry_after,reset_after\n"

  /// - Parameter limitNames: the names of the limits, by index.
  static func write(
    _ decision: borrowing Decision,
    of row: borrowing TraceRow,
    limitNames: [[UInt8]],
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
    output.append(
      seconds: decision.retryAfter == Decision.noWait ? 0 : decision.retryAfter.count)
    output.append(Ascii.comma)
    output.append(seconds: decision.resetAfter.count)
    output.append(Ascii.lineFeed)
  }
}
