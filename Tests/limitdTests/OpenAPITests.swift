// docs/openapi.yaml against the daemon: every path that it has is there, no other method is, and every
// answer has the members that it says, of the types that it says, and no others.

import DaemonSupport
import Foundation
import Testing
import Yams

extension DaemonTests {
  @Suite struct OpenAPITests {
    private typealias Object = [String: Any]

    private let document: [String: Any]

    init() throws {
      let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs/openapi.yaml")
      let text = try String(contentsOf: path, encoding: .utf8)
      document = try #require(try Yams.load(yaml: text) as? [String: Any])
    }

    private func resolved(_ schema: Object) throws -> Object {
      guard let reference = schema["$ref"] as? String else { return schema }
      var place: Any = document
      for part in reference.split(separator: "/").dropFirst() {
        place = try #require((place as? Object)?[String(part)], "\(reference)")
      }
      return try #require(place as? Object)
    }

    /// What is amiss with a value, each with its place.
    private func breaches(_ value: Any, _ given: Object, at place: String) throws -> [String] {
      let schema = try resolved(given)
      var found: [String] = []
      if let only = schema["const"] as? String, value as? String != only {
        found.append("\(place) is not \(only)")
      }
      if let known = schema["enum"] as? [String], !known.contains(value as? String ?? "") {
        found.append("\(place) is none of \(known)")
      }
      switch schema["type"] as? String {
      case "object":
        guard let object = value as? Object else { return found + ["\(place) is no object"] }
        let properties = schema["properties"] as? [String: Object] ?? [:]
        for name in schema["required"] as? [String] ?? [] where object[name] == nil {
          found.append("\(place).\(name) is missing")
        }
        for (name, member) in object {
          guard let property = properties[name] else {
            found.append("\(place).\(name) is not described")
            continue
          }
          found += try breaches(member, property, at: "\(place).\(name)")
        }
      case "array":
        guard let elements = value as? [Any], let items = schema["items"] as? Object else {
          return found + ["\(place) is no array"]
        }
        for (number, element) in elements.enumerated() {
          found += try breaches(element, items, at: "\(place)[\(number)]")
        }
      case "string": if !(value is String) { found.append("\(place) is no text") }
      case "boolean": if !(value is Bool) { found.append("\(place) is no boolean") }
      case "integer":
        if (value as? Double).map({ $0.rounded() != $0 }) ?? true {
          found.append("\(place) is no integer")
        }
      case "number": if !(value is Double) { found.append("\(place) is no number") }
      default: found.append("\(place) has no type in the document")
      }
      return found
    }

    /// Asks and holds the answer against the document.
    private func check(
      _ daemon: TestDaemon, _ method: String, _ path: String, asked target: String,
      _ body: String? = nil
    ) throws {
      let paths = try #require(document["paths"] as? [String: Object])
      let operation = try #require(paths[path]?[method.lowercased()] as? Object, "\(path)")
      let responses = try #require(operation["responses"] as? [String: Object])
      let answer = try daemon.ask(method, target, body)
      let response = try resolved(
        responses["\(answer.status)"] ?? #require(responses["default"]))
      let content = try #require(response["content"] as? [String: Object])
      let type = answer.headers["content-type"]?.split(separator: ";").first.map(String.init) ?? ""
      let schema = try #require(content[type]?["schema"] as? Object, "\(method) \(target): \(type)")
      guard type.hasSuffix("json") else { return }
      let found = try breaches(answer.json, schema, at: "\(method) \(target) → \(answer.status)")
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

    @Test("The document has every path that the daemon has, and no other method is answered")
    func paths() throws {
      let daemon = try TestDaemon()
      let paths = try #require(document["paths"] as? [String: Object])
      #expect(paths.count == 19)
      for (path, operations) in paths {
        let target = path.replacing("{limit}", with: "few").replacing("{tenant}", with: "acme")
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
          let status = try daemon.ask(method, target).status
          let isDescribed = operations[method.lowercased()] != nil
          #expect(isDescribed == (status != 405 && status != 404), "\(method) \(path): \(status)")
        }
      }
    }
  }
}
