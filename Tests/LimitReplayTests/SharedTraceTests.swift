// The recorded traffic of real systems, row by row against models that know nothing of the engine:
// the access log under a token bucket, the LLM trace under a sliding window. Where the recordings
// are not there the tests are skipped, and say so.

import Foundation
import LimitConsole
import LimitEngine
import Testing

@testable import LimitReplay

private func recording(_ name: String) -> String? {
  let path = packageRoot.deletingLastPathComponent().appending(path: "shared/data/\(name)").path
  return try? String(contentsOfFile: path, encoding: .utf8)
}

private let accessLog = recording("web-access-2015.log")
private let conversations = recording("llm-conversation-2023.csv")

/// Seconds as replay prints them.
private func seconds(_ nanoseconds: Int128) -> String {
  let digits = String(nanoseconds % 1_000_000_000)
  return "\(nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 9 - digits.count)
    + digits
}

@Suite struct SharedTraceTests {
  @Test(
    "Every row of the access log, a tenant for each host, is decided as a bucket of tokens would",
    .enabled(if: accessLog != nil, "../shared/data is not here"))
  func accessLogRows() throws {
    let text = try #require(accessLog)
    let policies = policySet(tokenBucket(5, per: Nanoseconds(10_000_000_000), burst: 10))
    let result = try replay([text], under: policies) { options in
      options.policy = "p"
    }
    #expect(result.error == nil)
    let interval: Int128 = 2_000_000_000
    let full = 10 * interval
    var buckets: [Substring: (content: Int128, at: Int128)] = [:]
    var expected: [String] = []
    for (host, time) in try inOrder(text) {
      let now = time * 1_000_000_000
      let known = buckets[host] ?? (full, now)
      var content = min(full, known.content + now - known.at)
      let fits = content >= interval
      if fits { content -= interval }
      buckets[host] = (content, now)
      let wait = fits ? 0 : interval - content
      expected.append(
        "\(time).000000000,\(host),p,\(host),1,\(fits ? "allow" : "deny"),limit,"
          + "\(content / interval),\(seconds(wait)),\(seconds(full - content)),")
    }
    #expect(result.rows.count == 10_000)
    #expect(expected.contains { $0.contains(",deny,") })
    compare(result.rows, expected)
  }

  @Test(
    "Every row of the LLM trace, a token budget of one tenant, is decided as two windows would",
    .enabled(if: conversations != nil, "../shared/data is not here"))
  func conversationRows() throws {
    let text = try #require(conversations)
    let limit: Int128 = 500_000
    let window: Int128 = 60_000_000_000
    let policies = policySet(slidingWindow(UInt64(limit), .minute))
    let map = try ColumnMap(parsing: "time=TIMESTAMP,cost=ContextTokens+GeneratedTokens")
    let result = try replay([text], under: policies) { options in
      options.columns = map
      options.tenantFrom = "acme"
      options.policy = "p"
    }
    #expect(result.error == nil)
    var counts: [Int128: Int128] = [:]
    var expected: [String] = []
    for line in text.split(whereSeparator: \.isNewline).dropFirst() {
      let fields = line.split(separator: ",")
      let now = try nanoseconds(fields[0])
      let cost = try #require(Int128(fields[1])) + (try #require(Int128(fields[2])))
      func inView(_ time: Int128) -> Int128 {
        let index = time / window
        return (counts[index - 1] ?? 0) * (window - time % window) + (counts[index] ?? 0) * window
      }
      func fits(_ time: Int128) -> Bool { inView(time) + cost * window <= limit * window }
      let isAdmitted = fits(now)
      var wait: Int128 = 0
      if isAdmitted {
        counts[now / window, default: 0] += cost
      } else {
        var low: Int128 = 0
        wait = 2 * window
        while wait - low > 1 {
          let middle = (low + wait) / 2
          if fits(now + middle) { wait = middle } else { low = middle }
        }
      }
      let last = (counts[now / window] ?? 0) > 0 ? now / window : now / window - 1
      let reset = (counts[last] ?? 0) > 0 ? (last + 2) * window - now : 0
      let left = max(0, limit * window - inView(now)) / window
      expected.append(
        "\(seconds(now)),acme,p,,\(cost),\(isAdmitted ? "allow" : "deny"),limit,\(left),"
          + "\(seconds(wait)),\(seconds(reset)),")
    }
    #expect(result.rows.count == 19_366)
    #expect(expected.contains { $0.contains(",deny,") })
    compare(result.rows, expected)
  }

  private func compare(_ actual: [String], _ expected: [String]) {
    for (number, (actual, expected)) in zip(actual, expected).enumerated() where actual != expected
    {
      Issue.record("row \(number + 1): expected \(expected), got \(actual)")
      return
    }
    #expect(actual.count == expected.count)
  }

  /// Host and Unix time of each line, in order of time; lines of one second in the log's order.
  private func inOrder(_ log: String) throws -> [(Substring, Int128)] {
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.dateFormat = "dd/MMM/yyyy:HH:mm:ss Z"
    let rows = try log.split(separator: "\n").enumerated().map { place, line in
      let host = line.prefix { $0 != " " }
      let open = try #require(line.firstIndex(of: "["))
      let close = try #require(line[open...].firstIndex(of: "]"))
      let stamp = String(line[line.index(after: open)..<close])
      return (host, Int128(try #require(format.date(from: stamp)).timeIntervalSince1970), place)
    }
    return rows.sorted { ($0.1, $0.2) < ($1.1, $1.2) }.map { ($0.0, $0.1) }
  }

  private func nanoseconds(_ stamp: Substring) throws -> Int128 {
    let parts = stamp.split(separator: ".")
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(identifier: "UTC")
    format.dateFormat = "yyyy-MM-dd HH:mm:ss"
    let whole = Int128(try #require(format.date(from: String(parts[0]))).timeIntervalSince1970)
    let fraction = parts[1] + String(repeating: "0", count: 9 - parts[1].count)
    return whole * 1_000_000_000 + (try #require(Int128(fraction)))
  }
}
