// The text of `limitctl config explain`: aligned columns, no colours.

import LimitConsole
import LimitEngine
import LimitPolicy

/// Lays out an explanation for people.
struct ExplanationReport {
  let explanation: Explanation
  let path: String
  let tenant: String
  let policy: String
  let key: String?
  /// Columns that lines should fit into; nil where nobody reads them on a terminal.
  var width: Int?

  var text: String {
    var lines = heading
    if explanation.standing == .limited || explanation.standing == .unlimited {
      for (number, limit) in explanation.limits.enumerated() {
        lines.append("")
        lines.append("\(number + 1). \(limit.name): \(limit.algorithmName) (\(place(limit.line)))")
        lines += table(of: limit)
      }
    }
    return lines.map { "\($0)\n" }.joined()
  }

  // MARK: Heading

  private var heading: [String] {
    var rows: [[String]] = []
    switch explanation.entry {
    case nil: rows.append(["tenant", visible(tenant), "not named, and there is no \"*\""])
    case ("*", let line)?:
      rows.append(["tenant", visible(tenant), "not named, hence \"*\", \(place(line))"])
    case (_, let line)?: rows.append(["tenant", visible(tenant), place(line)])
    }
    if let other = explanation.lookAlike {
      rows.append(["", "", "not the one of \(place(other.line)), whose bytes differ"])
    }
    if let plan = explanation.plan { rows.append(["plan", plan.name, place(plan.line)]) }
    rows.append(["policy", policy, place(explanation.policyLine)])
    if let key { rows.append(["key", visible(key)]) }
    return aligned(rows) + ["", outcome]
  }

  /// What becomes of a query, in a sentence.
  private var outcome: String {
    let line = explanation.standingLine.map { " (\(place($0)))" } ?? ""
    switch explanation.standing {
    case .blocked: return "Blocked\(line): every query is denied, and no limit is looked at."
    case .unknown:
      return "Unknown: every query is denied, and no limit is looked at. Name the tenant under "
        + "tenants, or add \"*\" there."
    case .unlimited:
      return "Unlimited\(line): every query is admitted. These limits count, and never deny:"
    case .limited:
      let isOne = explanation.limits.count == 1
      return isOne
        ? "This limit decides:" : "A query is charged to all of these limits, or to none:"
    }
  }

  // MARK: Limits

  private func table(of limit: Explanation.Limit) -> [String] {
    var rows = limit.parameters.map { parameter in
      let note = parameter.name == "scope" ? bucket(of: limit) : note(on: parameter, of: limit)
      return [
        parameter.name, parameter.value + (note.isEmpty ? "" : " (\(note))"),
        source(parameter.source),
      ]
    }
    rows.append(["takes", charge(of: limit)])
    let lines = aligned(rows).map { "   \($0)" }
    guard let width, lines.contains(where: { displayWidth($0) > width }) else { return lines }
    // Too narrow for three columns: the places follow their values at once.
    let names = rows.map { [$0[0], $0.dropFirst().joined(separator: "  ")] }
    return aligned(names).map { "   \($0)" }
  }

  private func note(on parameter: Explanation.Parameter, of limit: Explanation.Limit) -> String {
    if parameter.name == "mode", limit.mode == .shadow { return "counts, never denies" }
    return parameter.note
  }

  private func charge(of limit: Explanation.Limit) -> String {
    let amount = limit.takesCost ? "the query's cost" : "1 per query, whatever its cost"
    return limit.algorithm == .concurrency ? "\(amount), while a permit is held" : amount
  }

  private func bucket(of limit: Explanation.Limit) -> String {
    switch limit.scope {
    case .global: return "one bucket for everybody"
    case .tenant: return "one bucket for \(visible(tenant))"
    case .key:
      guard let key else { return "one bucket for each key of \(visible(tenant))" }
      return "the bucket of \(visible(tenant))'s key \(visible(key))"
    }
  }

  private func source(_ source: Explanation.Source) -> String {
    switch source {
    case .base(let line): "base, \(place(line))"
    case .plan(let name, let line): "plan \(name), \(place(line))"
    case .tenant(let name, let line): "tenant \(name), \(place(line))"
    case .runTime: "run time"
    case .unwritten: "default"
    }
  }

  private func place(_ line: Int) -> String { "\(visible(path)):\(line)" }

  // MARK: JSON

  /// For programs. The members are part of the interface.
  var json: String {
    JSONValue.object([
      ("format", .string("limitctl-config-explain/1")), ("file", .string(path)),
      ("tenant", .string(tenant)), ("policy", .string(policy)),
      ("key", key.map { .string($0) } ?? .null),
      ("standing", .string(standingName)),
      ("entry", named(explanation.entry)), ("plan", named(explanation.plan)),
      ("look_alike", named(explanation.lookAlike)),
      ("policy_line", .number(explanation.policyLine)),
      ("limits", .array(explanation.limits.map(jsonLimit))),
    ]).text + "\n"
  }

  private var standingName: String {
    switch explanation.standing {
    case .limited: "limited"
    case .unlimited: "unlimited"
    case .blocked: "blocked"
    case .unknown: "unknown"
    }
  }

  private func named(_ entry: (name: String, line: Int)?) -> JSONValue {
    entry.map { .object([("name", .string($0.name)), ("line", .number($0.line))]) } ?? .null
  }

  private func jsonLimit(_ limit: Explanation.Limit) -> JSONValue {
    .object([
      ("limit", .string(limit.name)), ("line", .number(limit.line)),
      ("algorithm", .string(limit.algorithmName)), ("unit", .string(limit.unit)),
      ("takes_cost", .boolean(limit.takesCost)),
      (
        "parameters",
        .array(
          limit.parameters.map { parameter in
            .object([
              ("name", .string(parameter.name)), ("value", .string(parameter.value)),
              ("source", .string(sourceName(parameter.source))),
              ("line", line(of: parameter.source).map { .number($0) } ?? .null),
            ])
          })
      ),
    ])
  }

  private func sourceName(_ source: Explanation.Source) -> String {
    switch source {
    case .base: "base"
    case .plan(let name, _): "plan \(name)"
    case .tenant(let name, _): "tenant \(name)"
    case .runTime: "run time"
    case .unwritten: "default"
    }
  }

  private func line(of source: Explanation.Source) -> Int? {
    switch source {
    case .base(let line), .plan(_, let line), .tenant(_, let line): line
    case .runTime, .unwritten: nil
    }
  }
}
