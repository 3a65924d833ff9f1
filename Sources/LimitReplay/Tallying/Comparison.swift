// What a second policy file decides otherwise: which limit made the difference, for what cost, when.

import LimitEngine

/// Counts rows that two files decide differently. One thread uses it.
struct Comparison {
  /// What one limit makes different.
  struct Change: Equatable {
    /// Refused by this limit of the first file, admitted by the second.
    var gained = 0
    var gainedCost: UInt128 = 0
    /// Admitted by the first file, refused by this limit of the second.
    var lost = 0
    var lostCost: UInt128 = 0
  }

  private(set) var total = Change()
  /// Gained rows count as admitted, lost ones as denied.
  private(set) var timeline = Timeline()
  private var changes: [String: Change] = [:]
  private let names: [[String]]

  /// - Parameter sides: both files' limits by name.
  init(_ sides: [PolicySet]) { names = sides.map { $0.limits.map(\.name) } }

  mutating func count(
    _ first: borrowing Decision, _ second: borrowing Decision, of row: borrowing TraceRow
  ) {
    let isAdmitted = (first.outcome == .allow, second.outcome == .allow)
    guard isAdmitted.0 != isAdmitted.1 else { return }
    timeline.count(isAdmitted.1 ? .allow : .deny, at: row.time)
    let cost = UInt128(row.cost)
    if isAdmitted.1 {
      let name = name(of: first, side: 0)
      changes[name, default: Change()].gained += 1
      changes[name, default: Change()].gainedCost += cost
      total.gained += 1
      total.gainedCost += cost
    } else {
      let name = name(of: second, side: 1)
      changes[name, default: Change()].lost += 1
      changes[name, default: Change()].lostCost += cost
      total.lost += 1
      total.lostCost += cost
    }
  }

  /// Per limit, the largest changes first, then by name.
  var limits: [(name: String, change: Change)] {
    changes.map { ($0.key, $0.value) }.sorted {
      let (left, right) = ($0.1.gained + $0.1.lost, $1.1.gained + $1.1.lost)
      return left != right ? left > right : $0.0 < $1.0
    }
  }

  /// Who refused.
  private func name(of decision: borrowing Decision, side: Int) -> String {
    switch decision.reason {
    case .blocked: "(blocked)"
    case .unknownTenant: "(unknown tenant)"
    default: decision.limit == .none ? "(no limit)" : names[side][Int(decision.limit.rawValue)]
    }
  }
}
