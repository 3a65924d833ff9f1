// Decisions worked out by hand from the rules in the documentation, one small trace per algorithm.

import LimitConsole
import LimitEngine
import Testing

@testable import LimitReplay

private let header = "time,tenant,policy,key,cost\n"

@Suite struct DecisionTests {
  /// One unit per second, three at once: T = 1 s, tolerance 3 s.
  @Test func aTokenBucketDecidesAsWorkedOutByHand() throws {
    let policies = policySet(tokenBucket(1, per: .second, burst: 3))
    let result = try replay(
      [
        header + """
          100,t,p,,1
          100,t,p,,2
          100.5,t,p,,1
          101,t,p,,1
          101,t,p,,4
          101,t,p,,0
          103.25,u,p,,3
          107,t,p,,0
          """
      ],
      under: policies
    )
    #expect(
      result.rows == [
        // debt 1 s: two left.
        "100.000000000,t,p,,1,allow,limit,2,0.000000000,1.000000000,",
        "100.000000000,t,p,,2,allow,limit,0,0.000000000,3.000000000,",
        // debt 2.5 s, one more makes 3.5 s: 0.5 s too much.
        "100.500000000,t,p,,1,deny,limit,0,0.500000000,2.500000000,",
        "101.000000000,t,p,,1,allow,limit,0,0.000000000,3.000000000,",
        "101.000000000,t,p,,4,never,limit,0,,3.000000000,",
        "101.000000000,t,p,,0,allow,limit,0,0.000000000,3.000000000,",
        // Another tenant has a bucket of its own.
        "103.250000000,u,p,,3,allow,limit,0,0.000000000,3.000000000,",
        // Full since 104.
        "107.000000000,t,p,,0,allow,limit,3,0.000000000,0.000000000,",
      ]
    )
  }

  /// Ten units per 10 s; windows begin at 1000, 1010, …
  @Test func aSlidingWindowDecidesAsWorkedOutByHand() throws {
    let policies = policySet(slidingWindow(10, Nanoseconds(10_000_000_000)))
    let result = try replay(
      [
        header + """
          1000,t,p,,6
          1005,t,p,,4
          1009,t,p,,1
          1011,t,p,,1
          1015,t,p,,5
          1015,t,p,,11
          """
      ],
      under: policies
    )
    #expect(
      result.rows == [
        // In view until the end of the next window, at 1020.
        "1000.000000000,t,p,,6,allow,limit,4,0.000000000,20.000000000,",
        "1005.000000000,t,p,,4,allow,limit,0,0.000000000,15.000000000,",
        // Fits at 1011: 10 × 9/10 + 1 = 10.
        "1009.000000000,t,p,,1,deny,limit,0,2.000000000,11.000000000,",
        "1011.000000000,t,p,,1,allow,limit,0,0.000000000,19.000000000,",
        // 10 × 5/10 + 1 = 6 in view. Five more fit at 1016: 10 × 4/10 + 6 = 10.
        "1015.000000000,t,p,,5,deny,limit,4,1.000000000,15.000000000,",
        "1015.000000000,t,p,,11,never,limit,4,,15.000000000,",
      ]
    )
  }

  @Test func aConcurrencyLimitIsLookedAtAndHoldsNothing() throws {
    let policies = policySet(concurrency(2))
    let result = try replay(
      [header + "1,t,p,,1\n1,t,p,,1\n1,t,p,,2\n1,t,p,,3\n"],
      under: policies
    )
    #expect(
      result.rows == [
        "1.000000000,t,p,,1,allow,limit,2,0.000000000,0.000000000,",
        "1.000000000,t,p,,1,allow,limit,2,0.000000000,0.000000000,",
        "1.000000000,t,p,,2,allow,limit,2,0.000000000,0.000000000,",
        "1.000000000,t,p,,3,never,limit,2,,0.000000000,",
      ]
    )
    let report = try replay([header + "1,t,p,,1\n"], under: policies) { $0.format = .report }
    #expect(report.output.contains("concurrency limits (limit)"))
  }

  @Test func keysHaveBucketsOfTheirOwn() throws {
    let policies = policySet(tokenBucket(1, per: .second, burst: 1), scope: .key)
    let result = try replay(
      [header + "1,t,p,a,1\n1,t,p,b,1\n1,t,p,a,1\n1,u,p,a,1\n1,u,p,,1\n1,u,p,,1\n"],
      under: policies
    )
    #expect(
      result.rows.map { $0.split(separator: ",", omittingEmptySubsequences: false)[5] }
        == ["allow", "allow", "deny", "allow", "allow", "deny"]
    )
  }

  @Test func tenantsThatNoLimitDecidesForAreToldApart() throws {
    let policies = policySet(tokenBucket(1, per: .second, burst: 1), anyTenant: false)
    let result = try replay(
      [header + "1,blocked,p,,1\n1,stranger,p,,1\n1,free,p,,1\n1,free,p,,1\n1,known,p,,1\n"],
      under: policies
    )
    #expect(
      result.rows[0...1] == [
        "1.000000000,blocked,p,,1,deny,(blocked),0,,0.000000000,",
        "1.000000000,stranger,p,,1,deny,(unknown-tenant),0,,0.000000000,",
      ]
    )
    #expect(
      result.rows[2...].map { $0.split(separator: ",", omittingEmptySubsequences: false)[5] }
        == ["allow", "allow", "allow"]
    )
  }

  @Test func outputQuotesOnlyWhatNeedsIt() throws {
    let policies = policySet(tokenBucket(1, per: .second, burst: 2))
    let result = try replay(
      [header + "1,\"a,b\",p,\"say \"\"hi\"\"\",\n1,plain,p,a b;c,1\n"],
      under: policies
    )
    #expect(
      result.rows == [
        #"1.000000000,"a,b",p,"say ""hi""",1,allow,limit,1,0.000000000,1.000000000,"#,
        "1.000000000,plain,p,a b;c,1,allow,limit,1,0.000000000,1.000000000,",
      ]
    )
    #expect(
      result.output.hasPrefix(
        "time,tenant,policy,key,cost,decision,limit,remaining,retry_after_seconds,reset_after_seconds,"
          + "would_have_denied\n"
      )
    )
  }

  /// The engine's clock counts the ends of windows modulo 208 days, traces know no such bound.
  @Test(arguments: [40, 100, 150, 207, 208, 209, 250, 416, 4000])
  func aGapOfAnyLengthLeavesNoWindowBehind(days: Int) throws {
    let policies = policySet(slidingWindow(10, Nanoseconds(30 * Nanoseconds.day.count)))
    let start = 20_000 * 86_400
    let later = start + max(days, 62) * 86_400
    let result = try replay([header + "\(start),t,p,,10\n\(later),t,p,,10\n"], under: policies)
    #expect(result.rows.last?.contains(",allow,limit,0,") == true)
  }

  @Test func aFullTableIsSweptAsTimeGoesOn() throws {
    // 8,000 keys a second, each full again within 100 ms, in a table of 1,024 slots.
    let policies = policySet(tokenBucket(10, per: .second, burst: 10), scope: .key)
    var trace = header
    for number in 0..<40_000 {
      let milliseconds = number / 8
      let decimals = String(milliseconds % 1000 + 1000).dropFirst()
      trace += "\(1000 + milliseconds / 1000).\(decimals),t\(number % 4),p,k\(number),1\n"
    }
    let result = try replay([trace], under: policies) { options in
      options.keySlots = 1024
      options.format = .json
    }
    #expect(result.output.contains("\"rows\": 40000"))
    let again = try replay([trace], under: policies) { options in
      options.keySlots = 1024
      options.format = .json
    }
    #expect(again.output == result.output)
  }
}
