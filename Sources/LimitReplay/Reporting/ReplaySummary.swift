// What a run has to tell, apart from how it is shown.

/// The content of a report.
struct ReplaySummary {
  let options: ReplayOptions
  let tally: Tally
  /// Concurrency limits that were looked at; a trace cannot fill them.
  let concurrencyLimits: [String]
  /// What the same rows came to under the policy file that is compared with.
  let otherTally: Tally?
  let comparison: Comparison?
  let badRows: Int
  /// Files that end within a line, which was not decided.
  let cutLines: Int
  /// Formats that were recognised by the first line of a trace.
  let formats: [String]
  /// What ended the run before the end of the traces.
  let failure: String?

  /// Nanoseconds from the first row to the last.
  var span: UInt64 { tally.timeline.first.map { tally.timeline.last - $0 } ?? 0 }
}

/// What another policy file changes for one tenant.
struct TenantChange: Equatable {
  let name: [UInt8]
  let rows: Int
  let admitted: Int
  let admittedByOther: Int

  /// Rows more that the other file admits; negative where the tenant is worse off.
  var change: Int { admittedByOther - admitted }
}

extension ReplaySummary {
  /// Every tenant under both files, the largest changes first, then by rows and name. Both sides
  /// saw the same rows, so both list the same tenants in the same places.
  var changes: [TenantChange] {
    guard let otherTally else { return [] }
    precondition(otherTally.tenants.count == tally.tenants.count, "both sides saw the same rows")
    let changes = zip(tally.tenants, otherTally.tenants).map { tenant, other in
      TenantChange(
        name: tenant.name,
        rows: tenant.counts.rows,
        admitted: tenant.counts.admitted,
        admittedByOther: other.counts.admitted
      )
    }
    return changes.sorted {
      let (left, right) = ($0.change.magnitude, $1.change.magnitude)
      if left != right { return left > right }
      if $0.rows != $1.rows { return $0.rows > $1.rows }
      return $0.name.lexicographicallyPrecedes($1.name)
    }
  }
}
