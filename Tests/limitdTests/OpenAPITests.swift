// docs/openapi.yaml against the daemon: every path that it has is there, no other method is, and every
// answer has the members that it says, of the types that it says, and no others.

import DaemonSupport
import Foundation
import Testing
import Yams

extension DaemonTests {
  @Suite struct OpenAPITests {
    private typealias Object = [String: Any]

    private let document: OpenAPIDocument

    init() throws { document = try OpenAPIDocument() }

    /// Asks and holds the answer against the document.
    private func check(
      _ daemon: TestDaemon, _ method: String, _ path: String, asked target: String,
      _ body: String? = nil
    ) throws {
      let operation = try #require(
        document.paths[path]?[method.lowercased()] as? Object, "\(path)")
      let responses = try #require(operation["responses"] as? [String: Object])
      let answer = try daemon.ask(method, target, body)
      let response = try document.resolved(
        responses["\(answer.status)"] ?? #require(responses["default"]))
      let content = try #require(response["content"] as? [String: Object])
      let type = answer.headers["content-type"]?.split(separator: ";").first.map(String.init) ?? ""
      let schema = try #require(content[type]?["schema"] as? Object, "\(method) \(target): \(type)")
      guard type.hasSuffix("json") else { return }
      let found = try document.breaches(
        answer.json, schema, at: "\(method) \(target) → \(answer.status)")
      #expect(found == [])
    }

    @Test("Every answer is what the document says")
    func answers() throws {
      let daemon = try TestDaemon { $0.policy = Self.policy }
      let client = try daemon.peer()
      for _ in 1...12 { _ = try client.decide(Request.query("acme", "all", key: "k")) }
      func all() throws {
        try check(daemon, "GET", "/v1/status", asked: "/v1/status")
        try check(daemon, "GET", "/v1/limits", asked: "/v1/limits")
        for name in ["few", "none"] {
          try check(daemon, "GET", "/v1/limits/{limit}", asked: "/v1/limits/\(name)")
        }
        try check(daemon, "GET", "/v1/tenants", asked: "/v1/tenants")
        try check(daemon, "GET", "/v1/tenants", asked: "/v1/tenants?limit=0")
        for name in ["acme", "banned", "free", "someone", "%20"] {
          try check(daemon, "GET", "/v1/tenants/{tenant}", asked: "/v1/tenants/\(name)")
          try check(
            daemon, "GET", "/v1/tenants/{tenant}/denials", asked: "/v1/tenants/\(name)/denials")
          let body = #"{"tenant": "\#(name)", "policy": "all", "key": "k"}"#
          try check(daemon, "POST", "/v1/peek", asked: "/v1/peek", body)
        }
        for (tenant, body) in [
          (
            "acme",
            #"{"plan": "pro", "settings": [{"limit": "few", "parameter": "burst", "value": "4"}]}"#
          ),
          ("late", #"{"settings": [{"limit": "many", "parameter": "mode", "value": "enforce"}]}"#),
          ("acme", #"{"plan": "prp"}"#), ("acme", "{}"),
        ] {
          try check(
            daemon, "PATCH", "/v1/tenants/{tenant}", asked: "/v1/tenants/\(tenant)", body)
        }
        for body in [#"{"reason": "unpaid", "for_seconds": 9999}"#, #"{"reason": ""}"#] {
          try check(
            daemon, "PUT", "/v1/tenants/{tenant}/block", asked: "/v1/tenants/late/block", body)
        }
        try check(daemon, "GET", "/v1/tenants/{tenant}", asked: "/v1/tenants/late")
        try check(
          daemon, "POST", "/v1/peek", asked: "/v1/peek", #"{"tenant": "late", "policy": "all"}"#)
        try check(
          daemon, "DELETE", "/v1/tenants/{tenant}/block", asked: "/v1/tenants/late/block")
        for target in ["late/overrides?dry_run=true", "late/overrides?dry_run=x", "acme/overrides"]
        {
          try check(
            daemon, "DELETE", "/v1/tenants/{tenant}/overrides", asked: "/v1/tenants/\(target)")
        }
        for body in [#"{"mode": "shadow"}"#, #"{"mode": "off"}"#] {
          try check(
            daemon, "PUT", "/v1/limits/{limit}/mode", asked: "/v1/limits/few/mode", body)
        }
        let lines = #"{"tenants": [{"tenant": "new", "plan": "pro", "block": {"reason": "r"}}]}"#
        try check(daemon, "POST", "/v1/overrides", asked: "/v1/overrides", lines)
        try check(daemon, "POST", "/v1/overrides", asked: "/v1/overrides", "[]")
        try check(daemon, "GET", "/v1/overrides", asked: "/v1/overrides")
        try check(daemon, "GET", "/v1/rules", asked: "/v1/rules")
        try check(daemon, "GET", "/v1/rules", asked: "/v1/rules?limit=0")
        try check(
          daemon, "DELETE", "/v1/limits/{limit}/mode", asked: "/v1/limits/few/mode")
        let resets = [nil, #"{"limit": "all"}"#, #"{"key": "k"}"#, #"{"dry_run": true}"#]
        for body in resets {
          try check(
            daemon, "POST", "/v1/tenants/{tenant}/reset", asked: "/v1/tenants/acme/reset", body)
        }
        try check(daemon, "GET", "/v1/audit", asked: "/v1/audit?limit=2")
        try check(daemon, "GET", "/v1/audit", asked: "/v1/audit?before=0")
        for query in ["", "?sort=queries&limit=1", "?sort=x", "?limit=0", "?since=1"] {
          try check(daemon, "GET", "/v1/top", asked: "/v1/top\(query)")
        }
        for query in ["", "?tenant=acme&limit=1", "?after=0&wait=1", "?wait=1", "?limit=0"] {
          try check(daemon, "GET", "/v1/events", asked: "/v1/events\(query)")
        }
        try check(daemon, "GET", "/metrics", asked: "/metrics")
        try check(daemon, "POST", "/v1/snapshot", asked: "/v1/snapshot")
        for body in [#"{"dry_run": true}"#, "{}", "[]"] {
          try check(daemon, "POST", "/v1/reload", asked: "/v1/reload", body)
        }
      }
      try all()
      // Another file, whose difference is told; then one with an error.
      try daemon.write(policy: Self.policy + "\n  late: {}")
      try all()
      try daemon.write(policy: "limits: 3")
      try all()
    }

    private static let policy = """
      limits:
        few: {algorithm: token-bucket, rate: 3/1d, burst: 9, scope: key, soft: 50%}
        many: {algorithm: sliding-window, limit: 10G, window: 31d, scope: tenant, mode: shadow}
        all: {algorithm: token-bucket, rate: 7/1d, burst: 500, scope: global}
      policies: {all: [few, many, all]}
      plans: {pro: {few: {burst: 10}}}
      tenants:
        "*": {}
        acme: {plan: pro, limits: {many: {limit: 11G}}}
        banned: {blocked: true}
        free: {unlimited: true}
      """

    @Test("The document has every path and method that the daemon has, and no other is answered")
    func paths() throws {
      let daemon = try TestDaemon()
      var described: Set<String> = []
      for (path, operations) in document.paths {
        let target = path.replacing("{limit}", with: "few").replacing("{tenant}", with: "acme")
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
          let status = try daemon.ask(method, target).status
          let isDescribed = operations[method.lowercased()] != nil
          if isDescribed { described.insert("\(method) \(path)") }
          #expect(isDescribed == (status != 405 && status != 404), "\(method) \(path): \(status)")
        }
      }
      // The table of routes, as it is written.
      let table = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources/LimitAdmin/Endpoints/Endpoints.swift")
      let text = try String(contentsOf: table, encoding: .utf8)
      let routes = text.matches(of: /Route\(\.([A-Z]+), "([^"]+)"/).map {
        "\($0.output.1) \($0.output.2)"
      }
      #expect(routes.count == text.components(separatedBy: "Route(").count - 1)
      #expect(Set(routes) == described && routes.count > 20)
    }

    // MARK: Requests

    /// Bodies that are good, and together have every member that the document describes.
    private static var bodies: [(method: String, path: String, target: String, body: Object)] {
      [
        (
          "PATCH", "/v1/tenants/{tenant}", "/v1/tenants/acme",
          [
            "plan": "pro", "dry_run": true,
            "settings": [["limit": "few", "parameter": "burst", "value": "4"]],
          ]
        ),
        (
          "PUT", "/v1/tenants/{tenant}/block", "/v1/tenants/late/block",
          ["reason": "unpaid", "until": "2999-01-01", "dry_run": true]
        ),
        (
          "PUT", "/v1/tenants/{tenant}/block", "/v1/tenants/late/block",
          ["reason": "unpaid", "for_seconds": 999, "dry_run": true]
        ),
        (
          "POST", "/v1/tenants/{tenant}/reset", "/v1/tenants/acme/reset",
          ["limit": "few", "key": "k", "dry_run": true]
        ),
        (
          "PUT", "/v1/limits/{limit}/mode", "/v1/limits/few/mode",
          ["mode": "shadow", "dry_run": true]
        ),
        (
          "POST", "/v1/overrides", "/v1/overrides",
          [
            "dry_run": true,
            "tenants": [
              [
                "tenant": "new", "plan": "pro", "block": ["reason": "r", "until": "2999-01-01"],
                "settings": [["limit": "few", "parameter": "burst", "value": "4"]],
              ] as Object
            ],
          ]
        ),
        (
          "POST", "/v1/peek", "/v1/peek",
          ["tenant": "acme", "policy": "all", "key": "k", "cost": 1]
        ),
        ("POST", "/v1/reload", "/v1/reload", ["dry_run": true]),
      ]
    }

    @Test("Every body that the document describes is taken, and any other is refused")
    func requests() throws {
      let daemon = try TestDaemon { $0.policy = Self.policy }
      var known: [String: Set<String>] = [:]
      for (method, path, target, body) in Self.bodies {
        let operation = try #require(document.paths[path]?[method.lowercased()] as? Object)
        let content = try #require(
          (operation["requestBody"] as? Object)?["content"] as? [String: Object], "\(path)")
        let schema = try #require(content["application/json"]?["schema"] as? Object)
        #expect(try document.breaches(body, schema, at: path) == [])
        let described = try document.members(of: schema)
        known["\(method) \(path)", default: described].subtract(
          OpenAPIDocument.members(in: body))
        for variant in try document.variants(of: body, schema, at: "")
        // What is set is of a parameter.
        where variant.what != ".settings[0].parameter is absent" {
          let text = try JSONSerialization.data(
            withJSONObject: variant.value, options: .fragmentsAllowed)
          let answer = try daemon.ask(method, target, String(decoding: text, as: UTF8.self))
          #expect(
            answer.status == (variant.isGood ? 200 : 400),
            "\(method) \(path)\(variant.what): \(answer.text)")
        }
      }
      let untried = known.values.flatMap { $0 }
      #expect(untried == [])
      let withBodies = document.paths.flatMap { path, operations in
        operations.filter { ($0.value as? Object)?["requestBody"] != nil }
          .map { "\($0.key.uppercased()) \(path)" }
      }
      #expect(Set(withBodies) == Set(known.keys))
    }
  }
}
