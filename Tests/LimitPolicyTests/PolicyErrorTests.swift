// Everything that can be wrong in the section `policies`.

import LimitPolicy
import Testing

@Suite struct PolicyErrorTests {
  @Test func aPolicyOfTheWrongTypeIsReported() {
    #expect(
      diagnostics(of: file(policy: "a")) == [
        "p.yaml:4:6: policy 'p': expected a list of limits such as [a, b], found 'a'"
      ]
    )
    #expect(
      diagnostics(of: file(policy: "[[a]]")) == [
        "p.yaml:4:7: policy 'p': expected the name of a limit, found a list"
      ]
    )
  }

  @Test func anEmptyPolicyIsReported() {
    #expect(
      diagnostics(of: file(policy: "[]")) == [
        "p.yaml:4:6: policy 'p' is empty; list at least one limit"
      ]
    )
  }

  @Test func aMissingLimitIsReportedWithTheNearestName() {
    #expect(
      diagnostics(of: file(policy: "[a, b, other]")) == [
        "p.yaml:4:10: policy 'p': there is no limit 'b'; define it under limits",
        "p.yaml:4:13: policy 'p': there is no limit 'other'; define it under limits",
      ]
    )
    let text = file().replacing("  a:", with: "  api-burst:")
      .replacing("[a]", with: "[api-brust]")
    #expect(
      diagnostics(of: text).last
        == "p.yaml:4:7: policy 'p': there is no limit 'api-brust'; did you mean 'api-burst'?"
    )
  }

  @Test func aLimitListedTwiceIsReported() {
    #expect(
      diagnostics(of: file(policy: "[a, a]")) == [
        "p.yaml:4:10: policy 'p' lists 'a' twice; list it once"
      ]
    )
  }

  @Test func policyNamesAreChecked() {
    #expect(
      diagnostics(of: file().replacing("  p:", with: "  p/q:")) == [
        "p.yaml:4:3: the policy 'p/q' is not a name; use 1 to 64 letters, digits, '-', '_' and '.'"
      ]
    )
  }

  /// A file whose only policy lists all of these limits.
  private func listing(_ limits: [String]) -> [String] {
    let lines = limits.enumerated().map { "  l\($0): {scope: key, \($1)}\n" }.joined()
    let names = limits.indices.map { "    - l\($0)\n" }.joined()
    return diagnostics(of: "limits:\n\(lines)policies:\n  p:\n\(names)tenants: {t: {}}\n")
  }

  @Test func aPolicyListsAtMostSixteenLimits() {
    let bucket = "algorithm: token-bucket, rate: 1/s, burst: 1"
    #expect(listing(Array(repeating: bucket, count: 16)) == [])
    #expect(
      listing(Array(repeating: bucket, count: 18)) == [
        "p.yaml:38:7: policy 'p' lists more than 16 limits; list fewer"
      ]
    )
  }

  @Test func aPolicyListsAtMostFourConcurrencyLimits() {
    let permits = "algorithm: concurrency, limit: 1"
    #expect(listing(Array(repeating: permits, count: 4)) == [])
    #expect(
      listing(Array(repeating: permits, count: 6)) == [
        "p.yaml:14:7: policy 'p' lists more than 4 concurrency limits; list fewer"
      ]
    )
  }

  @Test func aPolicyCountsInOneUnitBesidesRequests() {
    let permits = "algorithm: concurrency, limit: 1"
    #expect(listing([permits, "\(permits), unit: tokens", "\(permits), unit: requests"]) == [])
    #expect(
      listing(["\(permits), unit: tokens", "\(permits), unit: bytes", permits]) == [
        "p.yaml:8:7: policy 'p' counts in tokens and, with 'l1', in bytes; a query has one cost, "
          + "so use one unit besides requests"
      ]
    )
  }

  @Test func tooManyPoliciesAreReportedOnce() {
    let policies = (0..<1026).map { "  p\($0): [a]\n" }.joined()
    let text = file().replacing("  p: [a]\n", with: policies)
    #expect(
      diagnostics(of: text) == [
        "p.yaml:1028:3: policies: more than 1024 policies; define fewer"
      ]
    )
  }
}
