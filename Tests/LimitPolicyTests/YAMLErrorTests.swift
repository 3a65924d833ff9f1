// Texts that are not YAML, or not the YAML of a policy file.

import LimitPolicy
import Testing

@Suite struct YAMLErrorTests {
  @Test func anEmptyFileIsRefused() {
    let message = "p.yaml:1:1: the file is empty; write at least limits: and policies:"
    for text in ["", "\n\n", "# nothing\n", "---\n", "~\n", "\u{FEFF}"] {
      #expect(diagnostics(of: text) == [message])
    }
  }

  @Test(arguments: [("- a\n", "a list"), ("hello\n", "'hello'"), ("[]\n", "a list")])
  func aRootThatIsNoMappingIsRefused(text: String, found: String) {
    #expect(
      diagnostics(of: text) == [
        "p.yaml:1:1: top level: expected a mapping of limits, policies, plans, tenants and daemon, "
          + "found \(found)"
      ]
    )
  }

  @Test func aSyntaxErrorHasItsPlace() {
    #expect(
      diagnostics(of: "limits:\n  a: {rate: 1/s\npolicies: {}\n") == [
        "p.yaml:3:9: not valid YAML: did not find expected ',' or '}' while parsing a flow "
          + "mapping; separate with commas and close the bracket"
      ]
    )
    #expect(
      diagnostics(of: "limits:\n\ta: 1\n") == [
        "p.yaml:2:1: not valid YAML: found character that cannot start any token while scanning "
          + "for the next token; indent with spaces, not tabs, and quote text that begins with "
          + "@, ` or %"
      ]
    )
    #expect(
      diagnostics(of: "tenants:\n  *: {}\n") == [
        "p.yaml:2:4: not valid YAML: did not find expected alphabetic or numeric character while "
          + "scanning an alias; '*' and '&' have a meaning in YAML: quote a name that begins with "
          + "one, as in \"*\""
      ]
    )
    #expect(
      diagnostics(of: "limits: a: b\n") == [
        "p.yaml:1:10: not valid YAML: mapping values are not allowed in this context; write "
          + "'name: value', and give all names of one mapping the same indentation"
      ]
    )
    #expect(
      diagnostics(of: "limits: \"abc\n") == [
        "p.yaml:2:1: not valid YAML: found unexpected end of stream while scanning a quoted "
          + "scalar; check indentation, brackets and quotes here and just before"
      ]
    )
  }

  @Test func controlCharactersHaveTheirPlace() {
    #expect(
      diagnostics(of: "é: 1\nb: \u{7}\n") == [
        "p.yaml:2:4: not valid YAML: control characters are not allowed; remove the character, or "
          + "write it as an escape in double quotes"
      ]
    )
  }

  @Test func textThatIsNotUTF8HasThePlaceOfItsFirstBadByte() {
    let bytes = Array("é: 1\nab: ".utf8) + [0xFF, 0x0A]
    #expect(
      diagnostics(of: bytes) == ["p.yaml:2:5: the file is not UTF-8 text; save it as UTF-8"]
    )
    let utf16: [UInt8] = [0xFF, 0xFE, 0x61, 0x00]
    #expect(
      diagnostics(of: utf16) == ["p.yaml:1:1: the file is not UTF-8 text; save it as UTF-8"]
    )
  }

  @Test func aByteOrderMarkIsSkippedAndCountsForNothing() throws {
    #expect(diagnostics(of: "\u{FEFF}" + file()) == [])
    #expect(
      diagnostics(of: "\u{FEFF}limit: {}\n").first
        == "p.yaml:1:1: top level: unknown key 'limit'; did you mean 'limits'?"
    )
  }

  @Test func aSecondDocumentIsRefused() {
    #expect(
      diagnostics(of: file() + "---\na: 1\n") == [
        "p.yaml:9:1: a second YAML document begins here; a policy file is one document"
      ]
    )
  }

  @Test func tagsAreRefused() {
    #expect(
      diagnostics(of: file(policy: "!!seq [a]")) == [
        "p.yaml:4:6: policy files use no tags; remove 'tag:yaml.org,2002:seq'"
      ]
    )
  }

  @Test func duplicateKeysAreAllReportedWithTheirPlaces() {
    let text = """
      limits:
        a: {algorithm: token-bucket, rate: 1/s, rate: 2/s, burst: 1, scope: tenant}
        "a": {}
      policies:
        p: [a]
      policies: {}
      tenants:
        t: {}
        t: {}
        t: {}
      """
    #expect(
      diagnostics(of: text) == [
        "p.yaml:2:43: duplicate key 'rate', first given in line 2; keep one of them",
        "p.yaml:3:3: duplicate key 'a', first given in line 2; keep one of them",
        "p.yaml:6:1: duplicate key 'policies', first given in line 4; keep one of them",
        "p.yaml:9:3: duplicate key 't', first given in line 8; keep one of them",
        "p.yaml:10:3: duplicate key 't', first given in line 8; keep one of them",
      ]
    )
  }

  @Test func duplicatesAreFoundAmongManyKeys() {
    let names = (0..<50).map { "  t\($0): {}\n" }.joined()
    let text = file().replacingTenants(with: names + "  t0: {}\n  t49: {}\n  t8: {}\n")
    #expect(
      diagnostics(of: text) == [
        "p.yaml:58:3: duplicate key 't0', first given in line 8; keep one of them",
        "p.yaml:59:3: duplicate key 't49', first given in line 57; keep one of them",
        "p.yaml:60:3: duplicate key 't8', first given in line 16; keep one of them",
      ]
    )
  }

  @Test func aliasesStandForWhatTheyName() throws {
    let text = """
      limits:
        a: {algorithm: token-bucket, rate: &r 5/s, burst: 10, scope: tenant}
        b: {algorithm: token-bucket, rate: *r, burst: 20, scope: tenant}
      policies: {p: [a, b]}
      tenants: {t: {}}
      """
    let file = try PolicyFile.parse(text, path: "p.yaml")
    let limits = try #require(file.explain(tenant: "t", policy: "p")).limits
    #expect(limits[1].parameters[0].value == "5/s")
    #expect(limits[1].parameters[0].source == .base(line: 2))
  }

  @Test func anAliasOfNothingIsRefused() {
    #expect(
      diagnostics(of: "limits: *x\n") == [
        "p.yaml:1:9: the alias '*x' has no anchor before it; quote a name that begins with '*'"
      ]
    )
    #expect(
      diagnostics(of: "limits: &x [*x]\n") == [
        "p.yaml:1:13: the alias '*x' has no anchor before it; quote a name that begins with '*'"
      ]
    )
  }

  @Test func aliasesThatMultiplyAreRefused() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...30 {
      let alias = "*a\(level - 1)"
      text +=
        "a\(level): &a\(level) [\(Array(repeating: alias, count: 10).joined(separator: ","))]\n"
    }
    #expect(
      diagnostics(of: text) == [
        "p.yaml:8:5: the file has more than 16777216 values once its aliases are followed; write "
          + "fewer"
      ]
    )
  }

  @Test func deepNestingIsRefused() {
    let message = "more than 32 levels of nesting; a policy file needs 5"
    let brackets = String(repeating: "[", count: 100)
    #expect(diagnostics(of: brackets) == ["p.yaml:1:33: \(message)"])
    // So deep that libyaml gives up first, which says no place.
    let many = String(repeating: "[", count: 100_000)
    #expect(diagnostics(of: many) == ["p.yaml:1:1: \(message)"])
  }

  @Test func mergeKeysAreRefused() {
    #expect(
      diagnostics(of: file(plan: "{<<: {}}")).first
        == "p.yaml:6:9: plan 'pro': there is no limit '<<'; define it under limits"
    )
    #expect(
      diagnostics(of: file(tenant: "{<<: {}}")) == [
        "p.yaml:8:7: tenant 't': merge keys (<<) are not supported; write the values out"
      ]
    )
  }

  @Test func keysThatAreNoNamesAreRefused() {
    #expect(
      diagnostics(of: file(tenant: "{[a]: 1, ~: 2}")) == [
        "p.yaml:8:7: tenant 't': expected a name as key, found a list; quote it if it is one",
        "p.yaml:8:15: tenant 't': expected a name as key, found nothing; quote it if it is one",
      ]
    )
  }
}

extension String {
  /// The text with the lines under `tenants:` replaced.
  func replacingTenants(with lines: String) -> String {
    let rows = split(separator: "\n", omittingEmptySubsequences: false)
    let head = rows.prefix { $0 != "tenants:" }
    return head.joined(separator: "\n") + "\ntenants:\n" + lines
  }
}
