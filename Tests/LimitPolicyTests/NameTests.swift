// Names are compared byte by byte, as the daemon does; what only looks alike is warned of.

import LimitEngine
import LimitPolicy
import Testing

private let composed = "caf\u{E9}"
private let decomposed = "cafe\u{301}"

private func file(_ tenants: String) throws -> PolicyFile {
  try PolicyFile.parse(
    """
    limits: {a: {algorithm: concurrency, limit: 1, scope: key}}
    policies: {p: [a]}
    tenants: {\(tenants)}
    """, path: "f")
}

@Suite struct NameTests {
  @Test func aTenantIsExplainedByTheBytesOfItsName() throws {
    let file = try file("\(decomposed): {blocked: true}, \"*\": {}")
    #expect(file.explain(tenant: decomposed, policy: "p")?.standing == .blocked)
    let other = try #require(file.explain(tenant: composed, policy: "p"))
    #expect(other.standing == .limited)
    #expect(other.entry?.name == "*")
    #expect(other.lookAlike?.line == 3)
  }

  @Test func tenantsThatLookAlikeAreTwoAndWarnedOf() throws {
    let file = try file("\(decomposed): {blocked: true}, \(composed): {}")
    #expect(file.tenantNames.count == 2)
    #expect(file.warnings.count == 1)
    #expect(file.warnings[0].message.contains("looks like the one of line 3, but has other bytes"))
  }

  @Test func aMissingSpaceBehindAColonIsNamed() {
    let text = """
      limits:
        a: {algorithm: token-bucket, rate:1/s, burst: 1, scope: key}
      policies: {p: [a]}
      """
    do throws(PolicyFileError) {
      _ = try PolicyFile.parse(text, path: "f")
      Issue.record("the file was taken")
    } catch {
      #expect(
        error.description.contains(
          "'rate:1/s' has no space after the colon; write rate: 1/s"), "\(error)")
    }
  }

  @Test func theFirstTwentyErrorsAreToldAndTheOthersCounted() {
    var text =
      "limits: {a: {algorithm: concurrency, limit: 1, scope: key}}\npolicies: {p: [a]}\ntenants:\n"
    for number in 0..<45 { text += "  t\(number): {plan: none}\n" }
    do throws(PolicyFileError) {
      _ = try PolicyFile.parse(text, path: "f")
      Issue.record("the file was taken")
    } catch {
      #expect(error.diagnostics.count == 45)
      let lines = error.description.split(separator: "\n")
      #expect(lines.count == 21)
      #expect(lines[20] == "f: and 25 more; mend these first, they may follow from them")
    }
  }
}
