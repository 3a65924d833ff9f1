// Which format a trace has, by its first line. Pure functions.

import LimitConsole

/// The formats that replay reads.
package enum TraceFormat: Hashable {
  case csv
  case accessLog(LogFormat)

  /// As people call it.
  package var name: String {
    switch self {
    case .csv: "CSV"
    case .accessLog(let format): "an access log, format \(format.name)"
    }
  }

  /// The format of a trace that begins with `line`.
  ///
  /// - Throws: where it is none of those that replay reads: which, and what helps.
  static func recognised(by line: ArraySlice<UInt8>) throws(Malformed) -> TraceFormat {
    let start = Array(line.drop { $0 == Ascii.space })
    if start.first == UInt8(ascii: "{") {
      throw Malformed(
        "is JSON, which replay does not read; make CSV of it with time,tenant,policy,key,cost: "
          + "jq -r '[.time, .tenant, .policy, .key] | @csv'")
    }
    if hasVirtualHost(start), matches(start, .vhostCombined) { return .accessLog(.vhostCombined) }
    if matches(start, .common) {
      // The same to replay, but called what it is: in common nothing but the request is quoted.
      return .accessLog(quoteCount(start) > 2 ? .combined : .common)
    }
    if hasTimeInBrackets(start) || hasRequest(start) {
      throw Malformed(
        "is an access log in a format that replay does not know: '\(readable(start[...]))'; "
          + "write it as the server has it, such as --log-format "
          + "'$host $remote_addr [$time_local] \"$request\"'")
    }
    return .csv
  }

  private static func matches(_ line: [UInt8], _ format: LogFormat) -> Bool {
    LogLineMatcher(format, fields: [.path]).match(line) != nil
  }

  /// Whether the first word is `name:port`, which no address is: those of IPv6 have more colons.
  static func hasVirtualHost(_ line: some Sequence<UInt8>) -> Bool {
    let parts = line.prefix { $0 != Ascii.space }.split(
      separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return false }
    return parts[1].allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
  }

  /// How many quotes stand in `line` that no backslash precedes.
  private static func quoteCount(_ line: [UInt8]) -> Int {
    line.indices.count { place in
      line[place] == Ascii.quote && (place == 0 || line[place - 1] != Ascii.backslash)
    }
  }

  /// Whether a request line stands in it, such as `GET /path HTTP/1.1`.
  private static func hasRequest(_ line: [UInt8]) -> Bool {
    readable(line[...]).contains(/[A-Z]+ \S+ HTTP\/[0-9]/)
  }

  private static func hasTimeInBrackets(_ line: [UInt8]) -> Bool {
    line.indices.contains { place in
      line[place] == UInt8(ascii: "[") && place + 5 < line.count
        && (line[place + 3] == UInt8(ascii: "/") || line[place + 5] == UInt8(ascii: "-"))
    }
  }
}
