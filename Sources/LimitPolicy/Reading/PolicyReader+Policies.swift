// The section `policies`: named lists of limits.

import LimitEngine

extension PolicyReader {
  mutating func readPolicies(_ node: YAMLNode) {
    guard let entries = entries(of: node, .section("policies"), "names to lists of limits") else {
      return
    }
    if entries.isEmpty {
      error(node.position, "policies: there is none; list the limits of at least one")
    }
    for (name, key, value) in entries {
      guard policies.count < PolicySetBuilder.limitsMax else {
        return error(
          key.position,
          "policies: more than \(PolicySetBuilder.limitsMax) policies; define fewer"
        )
      }
      _ = checkName(name, "policy", at: key)
      policies.append(
        PolicyFile.Policy(name: name, position: key.position, limits: policy(name, value))
      )
    }
  }

  private mutating func policy(_ name: String, _ node: YAMLNode) -> [Int] {
    let subject = Subject.policy(name)
    guard node.kind == .sequence else {
      error(
        node.position,
        "\(subject): expected a list of limits such as [a, b], found \(node.found)"
      )
      return []
    }
    var listed: [Int] = []
    var isEmpty = true
    for item in node.items {
      isEmpty = false
      guard let name = text(of: item, subject, "expected the name of a limit"),
        let number = limitNumber(name, at: item, subject)
      else { continue }
      limits[number].isUsed = true
      if listed.contains(number) {
        error(item.position, "\(subject) lists \(quoted(name)) twice; list it once")
      } else {
        listed.append(number)
        checkRoom(for: number, in: listed, at: item, subject)
      }
    }
    if isEmpty { error(node.position, "\(subject) is empty; list at least one limit") }
    return listed
  }

  /// Checks what the engine can decide at once. Reported where the first limit too many stands.
  private mutating func checkRoom(
    for number: Int,
    in listed: [Int],
    at item: YAMLNode,
    _ subject: Subject
  ) {
    let limit = limits[number]
    if listed.count == PolicySetBuilder.limitsPerPolicyMax + 1 {
      error(
        item.position,
        "\(subject) lists more than \(PolicySetBuilder.limitsPerPolicyMax) limits; list fewer"
      )
    }
    let permits = listed.count { limits[$0].algorithm == .concurrency }
    if limit.algorithm == .concurrency,
      permits == PolicySetBuilder.concurrencyLimitsPerPolicyMax + 1
    {
      error(
        item.position,
        "\(subject) lists more than \(PolicySetBuilder.concurrencyLimitsPerPolicyMax) concurrency "
          + "limits; list fewer"
      )
    }
    let units = listed.map { limits[$0].unitName }.filter { $0 != LimitDefinition.requests }
    if let first = units.first, limit.unitName != LimitDefinition.requests,
      limit.unitName != first
    {
      error(
        item.position,
        "\(subject) counts in \(first) and, with \(quoted(limit.name)), in \(limit.unitName); a "
          + "query has one cost, so use one unit besides requests"
      )
    }
  }

  /// The limit of that name; reports one that is not defined.
  mutating func limitNumber(
    _ name: String,
    at node: YAMLNode,
    _ subject: Subject
  ) -> Int? {
    if let number = limitNumbers[name] { return number }
    let advice =
      suggestion(for: name, among: limits.lazy.map(\.name)) ?? "define it under limits"
    error(node.position, "\(subject): there is no limit \(quoted(name)); \(advice)")
    return nil
  }
}
