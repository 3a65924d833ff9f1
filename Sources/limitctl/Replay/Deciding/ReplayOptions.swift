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

/// Reads a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`; `0` needs no unit.
func durationNanoseconds(_ text: String) throws(Malformed) -> UInt64 {
  let units: [String: UInt64] = [
    "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
  ]
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  let unit = String(text.dropFirst(digits.count))
  if text == "0" { return 0 }
  guard let count = UInt64(digits), let length = units[unit] else {
    throw Malformed("cannot read the duration '\(text)'; write 500ms, 10s, 1m, 2h or 1d")
  }
  let (product, overflow) = count.multipliedReportingOverflow(by: length)
  guard !overflow, product < 1 << 62 else {
    throw Malformed("the duration '\(text)' is longer than 146 years")
  }
  return product
}
