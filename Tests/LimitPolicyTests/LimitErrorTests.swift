// Everything that can be wrong in the section `limits`.

import LimitPolicy
import Testing

@Suite struct LimitErrorTests {
  @Test func unknownSectionsAreReportedWithTheNearestName() {
    #expect(
      diagnostics(of: file() + "tenant: {}\ndeamon: {}\nserver: {}\n") == [
        "p.yaml:9:1: top level: unknown key 'tenant'; did you mean 'tenants'?",
        "p.yaml:10:1: top level: unknown key 'deamon'; did you mean 'daemon'?",
        "p.yaml:11:1: top level: unknown key 'server'; known here: limits, policies, plans, "
          + "tenants and daemon",
      ]
    )
  }

  @Test func limitsAndPoliciesAreRequired() {
    #expect(
      diagnostics(of: "tenants: {t: {}}\n") == [
        "p.yaml:1:1: there is no 'limits'; define at least one limit there",
        "p.yaml:1:1: there is no 'policies'; list the limits of at least one there",
      ]
    )
    #expect(
      diagnostics(of: "limits: {}\npolicies: {}\ntenants: {t: {}}\n") == [
        "p.yaml:1:9: limits: there is none; define at least one limit",
        "p.yaml:2:11: policies: there is none; list the limits of at least one",
      ]
    )
  }

  @Test func sectionsOfTheWrongTypeAreReported() {
    #expect(
      diagnostics(of: "limits: [a]\npolicies: 5\nplans:\ntenants: x\ndaemon: 1\n") == [
        "p.yaml:1:9: limits: expected a mapping of names to limits, found a list",
        "p.yaml:2:11: policies: expected a mapping of names to lists of limits, found '5'",
        "p.yaml:3:7: plans: expected a mapping of names to limits and parameters, found nothing; "
          + "write {} where there are none",
        "p.yaml:4:10: tenants: expected a mapping of tenants to plans and limits, found 'x'",
        "p.yaml:5:9: daemon: expected a mapping of socket, admin-socket, state-dir, live-state, "
          + "snapshot-interval, workers, spin, log-level, metrics, table, limits and access, found '1'",
      ]
    )
  }

  @Test func aLimitThatIsNoMappingIsReported() {
    #expect(
      diagnostics(of: file(limit: "100/s")) == [
        "p.yaml:2:6: limit 'a': expected a mapping of algorithm, scope and parameters, found "
          + "'100/s'"
      ]
    )
  }

  @Test func namesOfLimitsAreChecked() {
    let rest = "{algorithm: token-bucket, rate: 1/s, burst: 1, scope: key}"
    let long = String(repeating: "x", count: 65)
    let text = """
      limits:
        a b: \(rest)
        "": \(rest)
        é: \(rest)
        \(long): \(rest)
        ok-1_2.x: \(rest)
      policies: {p: [a b, "", é, \(long), ok-1_2.x]}
      tenants: {t: {}}
      """
    let advice = "is not a name; use 1 to 64 letters, digits, '-', '_' and '.'"
    #expect(
      diagnostics(of: text) == [
        "p.yaml:2:3: the limit 'a b' \(advice)",
        "p.yaml:3:3: the limit '' \(advice)",
        "p.yaml:4:3: the limit 'é' \(advice)",
        "p.yaml:5:3: the limit '\(long.prefix(60))…' \(advice)",
      ]
    )
  }

  @Test func aLimitNeedsAnAlgorithmAndAScope() {
    #expect(
      diagnostics(of: file(limit: "{rate: 1/s, burst: 1}")) == [
        "p.yaml:2:3: limit 'a' has no algorithm; write token-bucket, sliding-window or concurrency",
        "p.yaml:2:3: limit 'a' has no scope; write tenant, key or global",
      ]
    )
  }

  @Test func unknownWordsAreReportedWithTheNearestOne() {
    #expect(
      limitDiagnostics("algorithm: token-buket") == [
        "p.yaml:2:33: limit 'a': unknown algorithm 'token-buket'; did you mean 'token-bucket'?"
      ]
    )
    #expect(
      limitDiagnostics("algorithm: gcra") == [
        "p.yaml:2:33: limit 'a': unknown algorithm 'gcra'; write token-bucket, sliding-window or "
          + "concurrency"
      ]
    )
    #expect(
      diagnostics(of: file(limit: "{algorithm: concurrency, limit: 1, scope: tenants}")) == [
        "p.yaml:2:48: limit 'a': unknown scope 'tenants'; did you mean 'tenant'?"
      ]
    )
    #expect(
      limitDiagnostics("algorithm: concurrency, limit: 1, mode: shadwo") == [
        "p.yaml:2:62: limit 'a': unknown mode 'shadwo'; did you mean 'shadow'?"
      ]
    )
    #expect(
      limitDiagnostics("algorithm: concurrency, limit: 1, limt: 2") == [
        "p.yaml:2:56: limit 'a': unknown key 'limt'; did you mean 'limit'?"
      ]
    )
    #expect(
      limitDiagnostics("algorithm: concurrency, limit: 1, colour: 2") == [
        "p.yaml:2:56: limit 'a': unknown key 'colour'; known here: algorithm, scope, unit, limit, "
          + "soft and mode"
      ]
    )
  }

  @Test func wordsOfTheWrongTypeAreReported() {
    #expect(
      limitDiagnostics("algorithm: [concurrency]") == [
        "p.yaml:2:33: limit 'a': algorithm must be token-bucket, sliding-window or concurrency, "
          + "found a list"
      ]
    )
    #expect(
      limitDiagnostics("algorithm: concurrency, limit: {}, unit: ~, mode: null") == [
        "p.yaml:2:53: limit 'a': limit must be a value such as 1000, found a mapping",
        "p.yaml:2:63: limit 'a': unit must be a name such as tokens, found nothing",
        "p.yaml:2:72: limit 'a': mode must be enforce or shadow, found nothing",
      ]
    )
    #expect(
      limitDiagnostics("algorithm: concurrency, limit: 1, unit: \"a b\"") == [
        "p.yaml:2:62: the unit 'a b' is not a name; use 1 to 64 letters, digits, '-', '_' and '.'"
      ]
    )
  }

  @Test func missingParametersAreReported() {
    #expect(
      limitDiagnostics("algorithm: token-bucket") == [
        "p.yaml:2:3: limit 'a' has no rate; a token-bucket limit needs one, such as rate: 100/s",
        "p.yaml:2:3: limit 'a' has no burst; a token-bucket limit needs one, such as burst: 200",
      ]
    )
    #expect(
      limitDiagnostics("algorithm: sliding-window") == [
        "p.yaml:2:3: limit 'a' has no limit; a sliding-window limit needs one, such as limit: 1000",
        "p.yaml:2:3: limit 'a' has no window; a sliding-window limit needs one, such as window: 1m",
      ]
    )
    #expect(
      limitDiagnostics("algorithm: concurrency") == [
        "p.yaml:2:3: limit 'a' has no limit; a concurrency limit needs one, such as limit: 1000"
      ]
    )
  }

  @Test func parametersOfAnotherAlgorithmAreReported() {
    #expect(
      limitDiagnostics("algorithm: concurrency, limit: 1, rate: 1/s") == [
        "p.yaml:2:56: limit 'a': a concurrency limit has no rate; it has limit, soft and mode"
      ]
    )
  }

  @Test(arguments: [
    ("0/s", "rate '0/s' is zero and could never admit anything; write at least 1 per period"),
    ("-1/s", "rate '-1/s' is negative; write a rate such as 100/s, 5000/m or 5/10s"),
    ("100", "rate '100' has no period; write a rate as 100/s, 5000/m or 5/10s"),
    (
      "1_000_000_001/s",
      "rate '1_000_000_001/s' is above the fastest rate; write at most 1G/s, one per nanosecond"
    ),
    ("[1]", "rate must be a value such as 100/s, found a list"),
  ])
  func wrongRatesAreReported(rate: String, message: String) {
    #expect(
      limitDiagnostics("algorithm: token-bucket, burst: 1, rate: \(rate)") == [
        "p.yaml:2:63: limit 'a': \(message)"
      ]
    )
  }

  @Test(arguments: [
    ("0", "burst 0 could never admit anything; write at least 1"),
    ("-1", "burst '-1' is negative; write a count such as 200, 100_000, 1.5k or 2M"),
    ("0.5", "burst '0.5' is not a whole number of units; write one that is"),
    (
      "1099511627777",
      "burst 1_099_511_627_777 is above the maximum; write at most 1_099_511_627_776"
    ),
  ])
  func wrongBurstsAreReported(burst: String, message: String) {
    #expect(
      limitDiagnostics("algorithm: token-bucket, rate: 1M/s, burst: \(burst)") == [
        "p.yaml:2:66: limit 'a': \(message)"
      ]
    )
  }

  @Test func theLargestBurstIsAccepted() {
    #expect(limitDiagnostics("algorithm: token-bucket, rate: 1M/s, burst: 1099511627776") == [])
  }

  @Test(arguments: ["sliding-window, window: 1m", "concurrency, soft: 50%"])
  func wrongLimitsAreReported(algorithm: String) {
    let start = "algorithm: \(algorithm), limit:"
    let column = 23 + start.count
    #expect(
      limitDiagnostics("\(start) 0") == [
        "p.yaml:2:\(column): limit 'a': limit 0 could never admit anything; write at least 1"
      ]
    )
    #expect(
      limitDiagnostics("\(start) 17179869182") == [
        "p.yaml:2:\(column): limit 'a': limit 17_179_869_182 is above the maximum; write at most "
          + "17_179_869_181"
      ]
    )
    #expect(limitDiagnostics("\(start) 17179869181") == [])
  }

  @Test func windowsOutOfRangeAreReported() {
    for window in ["999ms", "0s", "32d"] {
      #expect(
        limitDiagnostics("algorithm: sliding-window, limit: 1, window: \(window)") == [
          "p.yaml:2:67: limit 'a': window \(window) is out of range; write 1s to 31d"
        ]
      )
    }
    for window in ["1s", "31d"] {
      #expect(limitDiagnostics("algorithm: sliding-window, limit: 1, window: \(window)") == [])
    }
  }

  @Test func wrongSoftThresholdsAreReported() {
    #expect(
      limitDiagnostics("algorithm: concurrency, limit: 1, soft: 0.5") == [
        "p.yaml:2:62: limit 'a': soft '0.5' is not a percentage; write one such as 80%"
      ]
    )
  }

  @Test func aBucketThatTakesTooLongToFillIsReported() {
    #expect(
      limitDiagnostics("algorithm: token-bucket, rate: 1/d, burst: 6_672") == [
        "p.yaml:2:65: limit 'a': burst 6672 at 1/d takes longer than 2^59 ns (18 years) to "
          + "fill; lower the burst or raise the rate"
      ]
    )
    #expect(limitDiagnostics("algorithm: token-bucket, rate: 1/d, burst: 6_671") == [])
  }

  @Test func tooManyLimitsAreReportedOnce() {
    let limits = (0..<1026).map { "  l\($0): {algorithm: concurrency, limit: 1, scope: key}\n" }
    let text = "limits:\n\(limits.joined())policies: {p: [l0]}\ntenants: {t: {}}\n"
    #expect(
      diagnostics(of: text) == ["p.yaml:1026:3: limits: more than 1024 limits; define fewer"]
    )
  }

  @Test func anErrorInALimitIsNotReportedAgainWhereTheLimitIsUsed() {
    #expect(
      diagnostics(of: file(limit: "{}", plan: "{a: {rate: 5/s}}")) == [
        "p.yaml:2:3: limit 'a' has no algorithm; write token-bucket, sliding-window or concurrency",
        "p.yaml:2:3: limit 'a' has no scope; write tenant, key or global",
      ]
    )
  }

  @Test func namesFromTheFileCannotUpsetATerminal() {
    #expect(
      diagnostics(of: file() + "\"a\\e[31m\\u202E\": 1\n").first
        == "p.yaml:9:1: top level: unknown key 'a\\u{1B}[31m\\u{202E}'; known here: limits, "
        + "policies, plans, tenants and daemon"
    )
  }
}
