// Which columns of a CSV file make up a trace's rows.

/// For each field of a row the header names of its columns.
package struct ColumnMap: Hashable {
  var time = "time"
  var tenant = "tenant"
  var policy = "policy"
  var key = "key"
  /// Summed.
  var costs = ["cost"]
  /// The fields whose columns the admin named: these have to be there.
  package private(set) var named: Set<String> = []

  package init() {}

  /// Reads `time=TIMESTAMP,cost=ContextTokens+GeneratedTokens`.
  package init(parsing text: String) throws(Malformed) {
    var seen: Set<String> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
      guard sides.count == 2 else {
        throw Malformed("'\(part)' names no column; write FIELD=COLUMN, such as time=TIMESTAMP")
      }
      let (field, column) = (sides[0], sides[1])
      guard seen.insert(field).inserted else { throw Malformed("'\(field)' is named twice") }
      switch field {
      case "time": time = column
      case "tenant": tenant = column
      case "policy": policy = column
      case "key": key = column
      case "cost":
        costs = column.split(separator: "+", omittingEmptySubsequences: false).map(String.init)
        guard !costs.contains("") else {
          throw Malformed("'\(part)' names an empty column; write cost=COLUMN+COLUMN")
        }
      default:
        throw Malformed("no field '\(field)'; a row has time, tenant, policy, key and cost")
      }
    }
    named = seen
  }
}
