// What is reported and yet accepted.

import LimitPolicy
import Testing

@Suite struct WarningTests {
  @Test func roundingThatChangesARateByMoreThanAThousandthIsReported() {
    #expect(
      limitDiagnostics("algorithm: token-bucket, rate: 700M/s, burst: 1") == [
        "p.yaml:2:53: warning: limit 'a': rate 700_000_000/s becomes 500_000_000/s, 28.57 % less: "
          + "one unit per whole 2ns; write a rate that divides 1G/s"
      ]
    )
    #expect(
      diagnostics(of: file(plan: "{a: {rate: 300M/s}}", tenant: "{limits: {a: {rate: 7/20ns}}}"))
        == [
          "p.yaml:6:19: warning: plan 'pro', limit 'a': rate 300_000_000/s becomes "
            + "250_000_000/s, 16.66 % less: one unit per whole 4ns; write a rate that divides 1G/s",
          "p.yaml:8:26: warning: tenant 't', limit 'a': rate 7/20ns becomes 333_333_333.333333333/s"
            + ", 4.76 % less: one unit per whole 3ns; write a rate that divides 1G/s",
        ]
    )
  }

  @Test func roundingUpToAThousandthIsNotReported() {
    // T = 2 ns: 1000 units take 2000 ns. 1998 ns are exactly 0.1 % less, 1997 ns are more.
    #expect(limitDiagnostics("algorithm: token-bucket, rate: 1000/1998ns, burst: 1") == [])
    #expect(
      limitDiagnostics("algorithm: token-bucket, rate: 1000/1997ns, burst: 1") == [
        "p.yaml:2:53: warning: limit 'a': rate 1000/1997ns becomes 500_000_000/s, 0.15 % less: "
          + "one unit per whole 2ns; write a rate that divides 1G/s"
      ]
    )
    #expect(limitDiagnostics("algorithm: token-bucket, rate: 3/s, burst: 1") == [])
  }

  @Test func aLimitInNoPolicyIsReported() {
    let limits = "limits:\n  b: {algorithm: concurrency, limit: 1, scope: key}\n"
    #expect(
      diagnostics(of: file().replacing("limits:\n", with: limits)) == [
        "p.yaml:2:3: warning: limit 'b' is in no policy; list it in one, or remove it"
      ]
    )
  }

  @Test func aFileThatNamesNoTenantIsReported() {
    let advice =
      "warning: no tenant is named, so every query is denied; write tenants: {\"*\": {}} to "
      + "admit any"
    let text = file().replacing("tenants:\n  t: {plan: pro}\n", with: "")
    #expect(diagnostics(of: text) == ["p.yaml:1:1: \(advice)"])
    #expect(diagnostics(of: text + "tenants: {}\n") == ["p.yaml:7:10: \(advice)"])
    #expect(diagnostics(of: text + "tenants: {\"*\": {}}\n") == [])
  }

  @Test func warningsDoNotKeepAFileFromBeingRead() throws {
    let text = file(limit: "{algorithm: token-bucket, rate: 700M/s, burst: 1, scope: key}")
    let file = try PolicyFile.parse(text, path: "p.yaml")
    #expect(file.warnings.map(\.severity) == [.warning])
    #expect(file.limitNames == ["a"])
  }
}
