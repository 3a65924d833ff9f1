// The table of endpoints, and what several of them use. Immutable: any thread.

import FoundationEssentials
import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime
import NIOHTTP1

struct Endpoints: Sendable {
  let source: AdminSource

  var routes: [Route] {
    [
      Route(.GET, "/v1/status", .observe) { call throws(Problem) in try status(call) },
      Route(.GET, "/v1/limits", .observe) { call throws(Problem) in try limits(call) },
      Route(.GET, "/v1/limits/{limit}", .observe) { call throws(Problem) in try limit(call) },
      Route(.GET, "/v1/tenants", .observe) { call throws(Problem) in try tenants(call) },
      Route(.GET, "/v1/tenants/{tenant}", .observeSome) { call throws(Problem) in try tenant(call)
      },
      Route(.GET, "/v1/tenants/{tenant}/denials", .observeSome) { call throws(Problem) in
        try denials(call)
      },
      Route(.PATCH, "/v1/tenants/{tenant}", .administer) { call throws(Problem) in
        try editTenant(call)
      },
      Route(.DELETE, "/v1/tenants/{tenant}/overrides", .administer) { call throws(Problem) in
        try clearTenant(call)
      },
      Route(.PUT, "/v1/tenants/{tenant}/block", .administer) { call throws(Problem) in
        try block(call)
      },
      Route(.DELETE, "/v1/tenants/{tenant}/block", .administer) { call throws(Problem) in
        try unblock(call)
      },
      Route(.POST, "/v1/tenants/{tenant}/reset", .administer) { call throws(Problem) in
        try reset(call)
      },
      Route(.PUT, "/v1/limits/{limit}/mode", .administer) { call throws(Problem) in
        try setMode(call)
      },
      Route(.DELETE, "/v1/limits/{limit}/mode", .administer) { call throws(Problem) in
        try unsetMode(call)
      },
      Route(.GET, "/v1/overrides", .observe) { call throws(Problem) in try overrides(call) },
      Route(.POST, "/v1/overrides", .administer, bodyBytesMax: OverridesImport.bodyBytesMax) {
        call throws(Problem) in try importOverrides(call)
      },
      Route(.GET, "/v1/rules", .observe) { call throws(Problem) in try rules(call) },
      Route(.GET, "/v1/audit", .observe) { call throws(Problem) in try audit(call) },
      Route(.GET, "/v1/top", .observe) { call throws(Problem) in try top(call) },
      Route(.GET, "/v1/events", .observeSome) { call throws(Problem) in try events(call) },
      Route(.POST, "/v1/peek", .observeSome) { call throws(Problem) in try peek(call) },
      Route(.POST, "/v1/reload", .administer) { call throws(Problem) in try reload(call) },
      Route(.POST, "/v1/snapshot", .administer) { call throws(Problem) in try saveSnapshot(call) },
      Route(.GET, "/metrics", .metrics) { call throws(Problem) in try metrics(call) },
    ]
  }

  /// The body of a request as a value.
  func decode<Value: Decodable>(_ type: Value.Type, _ call: Call) throws(Problem) -> Value {
    do {
      return try AdminJSON.decode(type, from: Data(call.request.body))
    } catch let error as UnknownMember {
      throw .badRequest("there is no member '\(error.name.shown)' here")
    } catch let error as DecodingError {
      throw .badRequest(Self.text(error))
    } catch {
      throw .badRequest("the body is no JSON document")
    }
  }

  private static func text(_ error: DecodingError) -> String {
    func place(_ context: DecodingError.Context) -> String {
      context.codingPath.last.map { "'\($0.stringValue.shown)'" } ?? "the document"
    }
    switch error {
    case .keyNotFound(let key, _): return "the member '\(key.stringValue)' is missing"
    case .typeMismatch(_, let context): return "\(place(context)) is of another type than it should"
    case .valueNotFound(_, let context): return "\(place(context)) has no value"
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty
        ? "the body is no JSON document" : "\(place(context)) has no value that is allowed"
    @unknown default: return "the body is not what is expected here"
    }
  }

  /// Refuses a body where none is expected.
  func refuseBody(_ call: Call) throws(Problem) {
    guard call.request.body.isEmpty else { throw .badRequest("this takes no body") }
  }

  static func seconds(_ time: Nanoseconds) -> Double { Double(time.count) / 1e9 }

  static func seconds(since start: UInt64, until now: UInt64) -> Double {
    Double(now - min(now, start)) / 1e9
  }
}

extension Standing {
  var name: String {
    switch self {
    case .limited: "limited"
    case .unlimited: "unlimited"
    case .blocked: "blocked"
    case .unknown: "unknown"
    }
  }
}

extension Decision.Outcome {
  var name: String {
    switch self {
    case .allow: "allow"
    case .deny: "deny"
    case .never: "never"
    }
  }
}

extension Roles {
  var names: [String] {
    let all: [(Roles, String)] = [
      (.query, "query"), (.settle, "settle"), (.observe, "observe"), (.administer, "administer"),
    ]
    return all.filter { contains($0.0) }.map(\.1)
  }
}
