// Everything that can be wrong, or doubtful, in the rules of access.

import LimitPolicy
import Testing

@Suite struct AccessErrorTests {
  /// What is said about a list of rules, which begins in column 18.
  private func said(_ rules: String) -> [String] {
    daemonDiagnostics("{access: \(rules)}").map { String($0.dropFirst("p.yaml:9:".count)) }
  }

  @Test func wrongTypesAreReported() {
    let list =
      "18: daemon, access: expected a list of rules such as [{group: www-data, roles: [query]}], "
      + "found"
    #expect(said("{}") == ["\(list) a mapping"])
    #expect(said("~") == ["\(list) nothing"])
    #expect(said("www-data") == ["\(list) 'www-data'"])
    #expect(
      said("[www-data, []]") == [
        "19: daemon, access: expected a mapping of user, group, roles and tenants, found "
          + "'www-data'",
        "29: daemon, access: expected a mapping of user, group, roles and tenants, found a list",
      ]
    )
    #expect(
      said("[{user: [], roles: query, tenants: t}]") == [
        "26: daemon, access: user must be a name or a number, found a list",
        "37: daemon, access: roles must be a list of query, settle, observe and administer, found "
          + "'query'",
        "53: daemon, access: tenants must be a list of tenants such as [acme], found 't'",
      ]
    )
    #expect(
      said("[{user: u, roles: [[]], tenants: [~]}]") == [
        "37: daemon, access: role must be query, settle, observe or administer, found a list",
        "52: daemon, access: expected the name of a tenant, found nothing",
      ]
    )
  }

  @Test func aRuleIsForOneUserOrGroup() {
    #expect(
      said("[{}, {roles: [query]}, {user: u, group: g, roles: [query]}]") == [
        "19: daemon, access: the rule is for nobody; write a user or a group",
        "19: daemon, access: the rule has no roles; write at least one, such as roles: [query]",
        "23: daemon, access: the rule is for nobody; write a user or a group",
        "51: daemon, access: the rule has both a user and a group; write a rule for each",
      ]
    )
  }

  @Test func usersAndGroupsAreNamesOrNumbers() {
    let advice =
      "is neither a name nor a number; write a name such as www-data, or a number such as 1000"
    let long = String(repeating: "u", count: 256)
    let cases = [
      ("''", "'' \(advice)"), ("-5", "'-5' \(advice)"), ("a:b", "'a:b' \(advice)"),
      ("a/b", "'a/b' \(advice)"), (#""a\0""#, #"'a\0' \#(advice)"#),
      (long, "'\(long.prefix(60))…' \(advice)"),
      ("4294967295", "4294967295 is out of range; write a number from 0 to 4294967294"),
      (
        "99999999999999999999999", "'99999999999999999999999' has too many digits; write at most 20"
      ),
      ("010", "'010' begins with 0; write it without leading zeros"),
      ("1_", "'1_' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ]
    for (text, what) in cases {
      #expect(said("[{user: \(text), roles: [query]}]") == ["26: daemon, access: user \(what)"])
      #expect(said("[{group: \(text), roles: [query]}]") == ["27: daemon, access: group \(what)"])
    }
  }

  @Test func rolesAreKnownAndListedOnce() {
    #expect(
      said("[{user: u, roles: []}, {user: u, roles: [query, querry, root, query]}]") == [
        "36: daemon, access: roles is empty; list at least one of query, settle, observe and "
          + "administer",
        "66: daemon, access: unknown role 'querry'; did you mean 'query'?",
        "74: daemon, access: unknown role 'root'; write query, settle, observe or administer",
        "80: daemon, access: the rule lists the role 'query' twice; list it once",
      ]
    )
  }

  @Test func tenantsAreNamesListedOnce() {
    #expect(
      said("[{user: u, roles: [settle], tenants: []}]") == [
        "55: daemon, access: tenants is empty; list at least one, or leave it out for every tenant"
      ]
    )
    #expect(
      said("[{user: u, roles: [settle], tenants: [t, t, '*', 'a b', '']}]") == [
        "59: daemon, access: the rule lists the tenant 't' twice; list it once",
        "62: daemon, access: '*' names no tenant; leave tenants out for a rule about every tenant",
        "67: the tenant 'a b' is not a name; use 1 to 255 bytes without spaces and control "
          + "characters",
        "74: the tenant '' is not a name; use 1 to 255 bytes without spaces and control characters",
      ]
    )
  }

  @Test func rolesWithoutQueryMayNameTenants() {
    #expect(said("[{user: u, roles: [observe], tenants: [t]}]") == [])
  }

  @Test func atMost1024RulesAreRead() {
    let rule = "{user: u, roles: [query]}"
    #expect(said("[" + Array(repeating: rule, count: 1024).joined(separator: ",") + "]") == [])
    #expect(
      said("[" + Array(repeating: rule, count: 1030).joined(separator: ",") + "]") == [
        "\(19 + 1024 * (rule.utf8.count + 1)): daemon, access: more than 1024 rules; write fewer"
      ]
    )
  }

  @Test func noRuleAtAllIsDoubtful() {
    #expect(
      said("[]") == [
        "18: warning: daemon, access: there is no rule, so nobody but root may use the daemon; add "
          + "one, or remove access to let in whoever may open the socket"
      ]
    )
  }

  @Test func tenantsThatTheFileDoesNotNameAreDoubtfulUnlessAnyIsServed() {
    let section = "daemon: {access: [{user: u, roles: [query], tenants: [acme, acne, other]}]}\n"
    let named = file().replacingTenants(with: "  acme: {}\n") + section
    #expect(
      diagnostics(of: named) == [
        "p.yaml:9:61: warning: daemon, access: there is no tenant 'acne'; did you mean 'acme'?",
        "p.yaml:9:67: warning: daemon, access: there is no tenant 'other'; name it under tenants",
      ]
    )
    let any = file().replacingTenants(with: "  acme: {}\n  \"*\": {}\n") + section
    #expect(diagnostics(of: any) == [])
  }
}
