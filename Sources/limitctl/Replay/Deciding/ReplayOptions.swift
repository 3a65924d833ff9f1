// What a run of replay is asked to do, once the command line is understood.

/// The settings of a run.
struct ReplayOptions {
  enum Format: String { case csv, json, report }

  /// How rows are read.
  enum Input {
    case csv(ColumnMap, CSVTrace.Constants)
    case combined(CombinedTrace.Mapping)
  }

  /// The policy file, for the report.
  var config = ""
  /// The policy file that it is compared with, for the report.
  var other: String?
  var traces: [String] = []
  var input = Input.csv(ColumnMap(), CSVTrace.Constants())
  var format = Format.report
  /// By how much a row may come late, in nanoseconds.
  var reorder: UInt64 = 0
  var skipsBadRows = false
  /// How many tenants and keys a report lists.
  var top = 10
  /// Slots of the table of per-key buckets.
  var keySlots = 1 << 20
}
