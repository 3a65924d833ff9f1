// Traces in CSV with a header: `time,tenant,policy,key,cost`, in any order, among other columns.

import LimitConsole

/// Reads the rows of one CSV file. One thread uses a reader.
package struct CSVTrace: RowReader, ~Copyable {
  /// What stands in for columns that the file does not have.
  package struct Constants: Hashable {
    package var tenant: String?
    package var policy: String?

    package init(tenant: String? = nil, policy: String? = nil) {
      self.tenant = tenant
      self.policy = policy
    }
  }

  /// The largest cost: 2^63 units.
  static let costMax: UInt64 = 1 << 63

  private var records: CSVReader
  private let layout: Layout

  var name: String { records.name }
  var bytesRead: Int { records.bytesRead }
  var isCut: Bool { records.isCut }

  private init(_ records: consuming CSVReader, _ layout: Layout) {
    self.records = records
    self.layout = layout
  }

  /// Reads the header. A file without one, or with a column missing, cannot be read at all.
  static func open(
    _ input: consuming ByteReader,
    columns: ColumnMap = ColumnMap(),
    constants: Constants = Constants()
  ) throws(TraceError) -> CSVTrace {
    var records = CSVReader(input)
    guard try records.next() else {
      throw .unreadable(
        file: records.name,
        why: "is empty; a trace begins with the header time,tenant,policy,…"
      )
    }
    let names = records.ends.indices.map { String(decoding: records.field($0), as: UTF8.self) }
    let header = Header(names: names, file: records.name, line: records.line)
    return CSVTrace(records, try Layout(header, columns, constants))
  }

  mutating func next(into row: inout TraceRow) throws(TraceError) -> Bool {
    guard try records.next() else { return false }
    row.line = records.line
    do throws(Malformed) {
      try fill(&row)
    } catch {
      throw .malformed(file: name, line: records.line, what: error.what)
    }
    return true
  }

  private func fill(_ row: inout TraceRow) throws(Malformed) {
    guard records.ends.count == layout.width else {
      throw Malformed(
        "\(counted(records.ends.count, "field")), where the header has \(layout.width); "
          + "a field with a comma in it needs quotes"
      )
    }
    let when = records.field(layout.time)
    row.time = try TraceTime.parse(records.text, when.startIndex..<when.endIndex)
    row.cost = try cost()
    let tenant = layout.tenant.map { records.field($0) } ?? layout.tenantConstant
    guard !tenant.isEmpty else { throw Malformed("an empty tenant; every row names its own") }
    row.setText(
      tenant: tenant,
      policy: layout.policy.map { records.field($0) } ?? layout.policyConstant,
      key: layout.key.map { records.field($0) } ?? []
    )
  }

  /// The sum of the cost columns. An empty cost is 1; one of several columns that is empty, 0.
  private func cost() throws(Malformed) -> UInt64 {
    guard !layout.costs.isEmpty else { return 1 }
    var sum: UInt64 = 0
    for place in layout.costs {
      let text = records.field(place)
      if text.isEmpty {
        sum += layout.costs.count == 1 ? 1 : 0
        continue
      }
      var cursor = ByteCursor(records.text, text.startIndex..<text.endIndex)
      guard let value = cursor.number(), cursor.isAtEnd, value <= Self.costMax - sum else {
        throw Malformed(
          "cannot read the cost '\(readable(text))'; a cost is a whole number from 0 to 2^63"
        )
      }
      sum += value
    }
    return sum
  }
}

/// Which column of a file holds what.
private struct Layout {
  let width: Int
  let time: Int
  let tenant: Int?
  let policy: Int?
  let key: Int?
  let costs: [Int]
  let tenantConstant: ArraySlice<UInt8>
  let policyConstant: ArraySlice<UInt8>

  init(
    _ header: Header,
    _ columns: ColumnMap,
    _ constants: CSVTrace.Constants
  ) throws(TraceError) {
    width = header.names.count
    time = try header.require(columns.time, for: "time")
    tenant =
      constants.tenant == nil ? try header.require(columns.tenant, for: "tenant") : nil
    policy =
      constants.policy == nil ? try header.require(columns.policy, for: "policy") : nil
    key =
      columns.named.contains("key")
      ? try header.require(columns.key, for: "key") : try header.find(columns.key)
    var costs: [Int] = []
    for column in columns.costs {
      if columns.named.contains("cost") {
        costs.append(try header.require(column, for: "cost"))
      } else if let place = try header.find(column) {
        costs.append(place)
      }
    }
    self.costs = costs
    tenantConstant = ArraySlice((constants.tenant ?? "").utf8)
    policyConstant = ArraySlice((constants.policy ?? "").utf8)
  }
}

/// The header of one file, to find columns in.
private struct Header {
  let names: [String]
  let file: String
  let line: Int

  func find(_ name: String) throws(TraceError) -> Int? {
    let places = names.indices.filter { names[$0] == name }
    guard places.count < 2 else {
      throw .unreadable(file: "\(file):\(line)", why: "the header has '\(name)' twice")
    }
    return places.first
  }

  func require(_ name: String, for field: String) throws(TraceError) -> Int {
    if let place = try find(name) { return place }
    let has = names.map { "'\(visible(String($0.prefix(30))))'" }.prefix(12).joined(separator: ", ")
    let instead = field == "tenant" ? " or --tenant-from" : field == "policy" ? " or --policy" : ""
    throw .unreadable(
      file: "\(file):\(line)",
      why: "the header has no column '\(name)' for the \(field) (it has \(has)); "
        + "name one with --columns \(field)=COLUMN\(instead)"
    )
  }
}
