// What a run of replay is asked to do, once the command line is understood.

import LimitEngine
import LimitPolicy

/// The settings of a run.
package struct ReplayOptions {
  package enum Format: String { case csv, json, report }

  /// How much memory rows take that wait to be put in order, in bytes, unless set.
  package static let reorderMemoryDefault = 256_000_000

  /// The policy file, for the report.
  package var config = ""
  /// The policy file that it is compared with, for the report.
  package var other: String?
  package var traces: [String] = []
  /// The traces' format; `nil`: each is known by its first line.
  package var input: TraceFormat?
  /// Which columns of CSV are what.
  package var columns = ColumnMap()
  /// The policy of every row.
  package var policy: String?
  /// A field of an access log, or the tenant of every row.
  package var tenantFrom: String?
  /// Of an access log.
  package var keyFrom: LogField?
  package var format = Format.report
  /// By how much a row may come late, in nanoseconds; `nil`: as is usual for the format.
  package var reorder: UInt64?
  /// In bytes.
  package var reorderMemory = Self.reorderMemoryDefault
  package var skipsBadRows = false
  /// How many tenants and keys a report lists.
  package var top = 10
  /// Slots of the table of per-key buckets.
  package var keySlots = Engine.Configuration().keySlots
  /// The longest key, in bytes: the policy file's, which the daemon holds to.
  package var keyBytesMax = DaemonSettings.Limits().keyBytes
  /// How the daemon decides, in words, where it is not an engine here.
  package var live: String?

  package init() {}
}

extension ReplayOptions {
  /// By how much rows of that format may come late, in nanoseconds, unless set.
  func reorder(for format: TraceFormat) -> UInt64 {
    if let reorder { return reorder }
    switch format {
    case .csv: return 0
    case .accessLog: return 2 * Nanoseconds.minute.count
    }
  }

  /// What stands in for the columns that a CSV trace does not have.
  ///
  /// - Throws: where an option is for access logs.
  package func constants() throws(Malformed) -> CSVTrace.Constants {
    if keyFrom != nil {
      throw Malformed("--key-from is for access logs; a CSV trace has --columns key=COLUMN")
    }
    if let tenantFrom, LogField(rawValue: tenantFrom) != nil, tenantFrom != "path" {
      throw Malformed(
        "--tenant-from \(tenantFrom) is for access logs; a CSV trace has --columns tenant=COLUMN")
    }
    if tenantFrom != nil, columns.named.contains("tenant") {
      throw Malformed("--tenant-from and --columns tenant=… exclude each other")
    }
    if policy != nil, columns.named.contains("policy") {
      throw Malformed("--policy and --columns policy=… exclude each other")
    }
    return CSVTrace.Constants(tenant: tenantFrom, policy: policy)
  }

  /// How lines of an access log become rows.
  ///
  /// - Throws: where an option is missing, or is for CSV.
  package func mapping() throws(Malformed) -> AccessLogTrace.Mapping {
    guard let policy else { throw Malformed("an access log names no policy: add --policy NAME") }
    if !columns.named.isEmpty { throw Malformed("--columns is for CSV traces") }
    let tenant = tenantFrom ?? "host"
    let field = tenant == "path" ? nil : LogField(rawValue: tenant)
    return AccessLogTrace.Mapping(
      policy: policy, tenant: field, tenantConstant: field == nil ? tenant : "",
      key: keyFrom ?? .host)
  }
}
