// What a message is about. A value that becomes text only when there is something to say: reading
// 100,000 tenants makes a million of them.

/// A part of a policy file, as messages name it.
enum Subject: CustomStringConvertible {
  case file
  case section(String)
  case limit(String)
  case policy(String)
  case plan(String)
  case tenant(String)
  case planLimit(plan: String, limit: String)
  case tenantLimits(String)
  case tenantLimit(tenant: String, limit: String)
  /// A key of the section `daemon` that holds several settings.
  case daemon(String)

  var description: String {
    switch self {
    case .file: "top level"
    case .section(let name): name
    case .limit(let name): "limit \(quoted(name))"
    case .policy(let name): "policy \(quoted(name))"
    case .plan(let name): "plan \(quoted(name))"
    case .tenant(let name): "tenant \(quoted(name))"
    case .planLimit(let plan, let limit): "plan \(quoted(plan)), limit \(quoted(limit))"
    case .tenantLimits(let tenant): "tenant \(quoted(tenant)), limits"
    case .tenantLimit(let tenant, let limit): "tenant \(quoted(tenant)), limit \(quoted(limit))"
    case .daemon(let part): "daemon, \(part)"
    }
  }
}
