// `limitctl tenant set` and `unset`: a tenant's plan and parameters at run time.

import ArgumentParser
import LimitAdminModel
import LimitPolicy

struct TenantSet: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "set",
    abstract: "Gives a tenant another plan or other parameters, over the policy file.",
    discussion: """
      In force when it returns, and kept over restarts and reloads. Buckets keep what was used of \
      them. A tenant that the policy file does not name has what "*" has besides.

        limitctl tenant set acme plan=pro
        limitctl tenant set acme api-burst.rate=50/s api-burst.burst=100

      Exit codes: 0 done; 1 refused, and nothing has changed; 3 the daemon cannot be reached; 64 \
      usage.
      """
  )

  @Argument(
    help: "The tenant, named in the policy file or not.",
    completion: .tenants)
  var tenant: String

  @Argument(
    help: ArgumentHelp("plan=NAME, or LIMIT.PARAMETER=VALUE.", valueName: "what=value"))
  var assignments: [String]

  @OptionGroup var options: ChangeOptions

  func run() throws {
    var edit = TenantEdit()
    for assignment in assignments {
      guard let equals = assignment.firstIndex(of: "=") else {
        throw ValidationError("'\(assignment)' is no plan=NAME and no LIMIT.PARAMETER=VALUE.")
      }
      let value = String(assignment[assignment.index(after: equals)...])
      switch RunTimePlace(String(assignment[..<equals])) {
      case .plan: edit.plan = value
      case .parameter(let limit, let parameter):
        edit.settings.append(.init(limit: limit, parameter: parameter, value: value))
      case .limit(let limit):
        throw ValidationError(
          "'\(limit)' is no parameter of a limit; write LIMIT.PARAMETER=VALUE, such as "
            + "\(limit).rate=5/s.")
      }
    }
    try options.run { client, isDryRun throws(AdminError) in
      edit.dryRun = isDryRun
      return try client.ask(
        ChangeAnswer.self, "PATCH", "/v1/tenants/\(AdminClient.escaped(tenant))", edit)
    }
  }
}

struct TenantUnset: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unset",
    abstract: "Leaves a tenant's plan or parameters to the policy file again.",
    discussion: """
      Without anything named, all that was set for the tenant; a block stays.

      Exit codes: 0 done; 1 refused, and nothing has changed; 3 the daemon cannot be reached; 64 \
      usage.
      """
  )

  @Argument(
    help: "The tenant.",
    completion: .tenants)
  var tenant: String

  @Argument(
    help: ArgumentHelp(
      "plan, LIMIT.PARAMETER, or LIMIT for all of its parameters.", valueName: "what"))
  var places: [String] = []

  @OptionGroup var options: ChangeOptions

  func run() throws {
    var edit = TenantEdit()
    for place in places {
      switch RunTimePlace(place) {
      case .plan: edit.plan = .some(nil)
      case .parameter(let limit, let parameter):
        edit.settings.append(.init(limit: limit, parameter: parameter, value: nil))
      case .limit(let limit):
        edit.settings.append(.init(limit: limit, parameter: nil, value: nil))
      }
    }
    let path = "/v1/tenants/\(AdminClient.escaped(tenant))"
    try options.run { client, isDryRun throws(AdminError) in
      if places.isEmpty {
        return try client.ask(
          ChangeAnswer.self, "DELETE", "\(path)/overrides?dry_run=\(isDryRun)")
      }
      edit.dryRun = isDryRun
      return try client.ask(ChangeAnswer.self, "PATCH", path, edit)
    }
  }
}

/// What can be set of a tenant, as the command line names it.
enum RunTimePlace: Equatable {
  case plan
  case parameter(limit: String, String)
  case limit(String)

  /// Names of limits may have dots: only what is a parameter's name behind the last one is one.
  init(_ text: String) {
    if text == "plan" {
      self = .plan
    } else if let dot = text.lastIndex(of: "."),
      PolicyFile.parameterNames.contains(String(text[text.index(after: dot)...]))
    {
      self = .parameter(limit: String(text[..<dot]), String(text[text.index(after: dot)...]))
    } else {
      self = .limit(text)
    }
  }
}
