// `limitctl config check` and `limitctl config explain`, as their users see them.

import Foundation
import LimitConsole
import LimitPolicy
import TestSupport
import Testing

@testable import limitctl

/// The project's example, by its full path.
private let example =
  "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/examples/policy.yaml"

/// Runs `body` with the path of a temporary file that holds `text`.
private func withFile<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
  let folder = try TemporaryFolder()
  defer { folder.remove() }
  let path = "\(folder.path)/limitd.yaml"
  try text.write(toFile: path, atomically: false, encoding: .utf8)
  return try body(path)
}

@Suite struct ConfigCheckTests {
  @Test func aGoodFileIsSummarised() {
    let result = ConfigCheck.check([example])
    #expect(
      result
        == CommandResult(
          output: "\(example): 5 limits, 2 policies, 2 plans, 4 tenants named; other tenants: "
            + "plan free\n"
        )
    )
  }

  @Test func everyErrorOfEveryFileIsPrintedAndTheExitCodeIs78() throws {
    try withFile("limits: {}\npolicies: {}\n") { bad in
      let result = ConfigCheck.check(["/nonexistent", bad, example])
      #expect(result.exitCode == 78)
      #expect(result.output.hasPrefix("\(example): 5 limits"))
      #expect(
        result.errors == """
          /nonexistent:1:1: the file cannot be read: No such file or directory; name a policy file \
          that can
          \(bad):1:9: limits: there is none; define at least one limit
          \(bad):2:11: policies: there is none; list the limits of at least one

          """
      )
    }
  }

  @Test func limitsThatWouldBeginAnewAreListedAgainstTheOldFile() throws {
    func file(_ limits: String) -> String {
      "limits: {\(limits)}\npolicies: {p: [x]}\ntenants: {t: {}}\n"
    }
    let x = "x: {algorithm: concurrency, limit: 1, scope: key}"
    let old = file(
      "\(x), a: {algorithm: token-bucket, rate: 1/s, burst: 1, scope: key}, "
        + "b: {algorithm: concurrency, limit: 1, scope: key}, "
        + "c: {algorithm: concurrency, limit: 1, scope: key}")
    let new = file(
      "\(x), a: {algorithm: sliding-window, limit: 1, window: 1m, scope: key}, "
        + "b: {algorithm: concurrency, limit: 2, scope: tenant}, "
        + "d: {algorithm: concurrency, limit: 1, scope: key}")
    try withFile(old) { old in
      try withFile(new) { new in
        let result = ConfigCheck.check([new], against: old)
        let lines = result.output.split(separator: "\n").dropFirst().map(String.init)
        #expect(
          lines == [
            "\(new): limit 'a': token-bucket becomes sliding-window; its buckets begin anew",
            "\(new): limit 'b': scope key becomes tenant; its buckets begin anew",
            "\(new): limit 'd': new; its buckets begin full",
            "\(new): limit 'c': gone, with its buckets",
          ])
        #expect(ConfigCheck.check([old], against: old).output.split(separator: "\n").count == 1)
      }
    }
    #expect(ConfigCheck.check([example], against: "/nonexistent").exitCode == 78)
  }

  @Test func aWarningIsPrintedAndTheExitCodeIs0() throws {
    let text = """
      limits: {a: {algorithm: token-bucket, rate: 700M/s, burst: 1, scope: key}}
      policies: {p: [a]}
      tenants: {t: {}}
      """
    try withFile(text) { path in
      let result = ConfigCheck.check([path])
      #expect(result.exitCode == 0)
      #expect(
        result.errors == "\(path):1:45: warning: limit 'a': rate 700_000_000/s becomes "
          + "500_000_000/s, 28.57 % less: one unit per whole 2ns; write a rate that divides 1G/s\n"
      )
      #expect(
        result.output == "\(path): 1 limit, 1 policy, 0 plans, 1 tenant named; other tenants: "
          + "denied as unknown\n"
      )
    }
  }
}

@Suite struct ConfigExplainTests {
  private func explain(_ tenant: String, _ policy: String, key: String? = nil) -> CommandResult {
    ConfigExplain.explain(example, tenant: tenant, policy: policy, key: key)
  }

  @Test func parametersStandNextToTheLineThatTheyCameFrom() {
    let result = explain("district-7", "chat", key: "bob")
    #expect(result.exitCode == 0)
    #expect(result.errors == "")
    let lines = Set(result.output.split(separator: "\n").map(String.init))
    let expected = [
      "tenant  district-7  \(example):24",
      "plan    pro         \(example):24",
      "1. api-burst: token-bucket (\(example):7)",
      "   burst  2000                                plan pro, \(example):19",
      "   limit   5_000_000                           tenant district-7, \(example):24",
      "   window  1m                                  base, \(example):9",
      "   soft    80% (from 4_000_000 tokens on)      base, \(example):9",
      "   scope  key (the bucket of district-7's key bob)  base, \(example):8",
      "   scope  global (one bucket for everybody)  base, \(example):11",
      "   mode   shadow (counts, never denies)      base, \(example):11",
      "   takes   the query's cost",
      "   takes  1 per query, whatever its cost",
      "   takes  1 per query, whatever its cost, while a permit is held",
    ]
    for line in expected { #expect(lines.contains(line), "\(line)\n\n\(result.output)") }
  }

  @Test func limitsAreInThePolicysOrder() {
    let headings = explain("acme", "chat").output.split(separator: "\n")
      .filter { $0.first?.isNumber == true }.map { $0.prefix { $0 != ":" } }
    #expect(
      headings == ["1. api-burst", "2. user-rps", "3. llm-tpm", "4. in-flight", "5. provider"]
    )
    #expect(explain("acme", "gateway").output.contains("one bucket for each key of acme"))
  }

  @Test func blockedUnlimitedAndOtherTenantsAreExplained() throws {
    #expect(
      explain("banned-co", "chat").output.hasSuffix(
        "\nBlocked (\(example):25): every query is denied, and no limit is looked at.\n"
      )
    )
    #expect(
      explain("internal", "chat").output.contains(
        "\nUnlimited (\(example):26): every query is admitted. These limits count, and never "
          + "deny:\n"
      )
    )
    #expect(
      explain("nobody", "chat").output.hasPrefix(
        "tenant  nobody  not named, hence \"*\", \(example):22\n"
      )
    )
    let text = """
      limits: {a: {algorithm: concurrency, limit: 1, scope: key}}
      policies: {p: [a]}
      tenants: {t: {}}
      """
    try withFile(text) { path in
      let result = ConfigExplain.explain(path, tenant: "nobody", policy: "p", key: nil)
      #expect(result.output.hasPrefix("tenant  nobody  not named, and there is no \"*\"\n"))
      #expect(result.output.contains("\nUnknown: every query is denied"))
    }
  }

  @Test func anUnknownPolicyIsAnErrorWithASuggestion() {
    #expect(
      explain("acme", "chta")
        == CommandResult(
          errors: "\(example) has no policy 'chta'; did you mean 'chat'?\n",
          exitCode: 1
        )
    )
    #expect(
      explain("acme", "x").errors == "\(example) has no policy 'x'; it has gateway, chat\n"
    )
  }

  @Test func aFileWithErrorsIsNotExplained() {
    let result = ConfigExplain.explain("/nonexistent", tenant: "t", policy: "p", key: nil)
    #expect(result.exitCode == 78)
    #expect(result.errors.hasPrefix("/nonexistent:1:1: "))
  }
}
