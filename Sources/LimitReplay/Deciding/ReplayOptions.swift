// What a run of replay is asked to do, once the command line is understood.

/// The settings of a run.
package struct ReplayOptions {
  package enum Format: String { case csv, json, report }

  /// How rows are read.
  package enum Input {
    case csv(ColumnMap, CSVTrace.Constants)
    case combined(CombinedTrace.Mapping)
  }

  /// The policy file, for the report.
  package var config = ""
  /// The policy file that it is compared with, for the report.
  package var other: String?
  package var traces: [String] = []
  package var input = Input.csv(ColumnMap(), CSVTrace.Constants())
  package var format = Format.report
  /// By how much a row may come late, in nanoseconds.
  package var reorder: UInt64 = 0
  package var skipsBadRows = false
  /// How many tenants and keys a report lists.
  package var top = 10
  /// Slots of the table of per-key buckets.
  package var keySlots = 1 << 20

  package init() {}
}
