// Rows of a CSV trace: which columns, which values, and what is said of bad ones.

import LimitConsole
import Testing

@testable import LimitReplay

/// Reads all rows as `time tenant policy key cost`; a malformed one appears as its message.
private func rows(
  _ text: String,
  columns: String? = nil,
  constants: CSVTrace.Constants = .init()
) -> [String] {
  var all: [String] = []
  do {
    let map = try columns.map { (text) throws(Malformed) in try ColumnMap(parsing: text) }
    var trace = try CSVTrace.open(
      try ByteReader.reading(Array(text.utf8)),
      columns: map ?? ColumnMap(),
      constants: constants
    )
    var row = TraceRow()
    while true {
      do throws(TraceError) {
        guard try trace.next(into: &row) else { return all }
        let texts = [row.tenantRange, row.policyRange, row.keyRange].map {
          String(decoding: row.text[$0], as: UTF8.self)
        }
        all.append("\(row.time) \(texts.joined(separator: " ")) \(row.cost)")
      } catch {
        all.append("\(error)")
      }
    }
  } catch {
    return ["\(error)"]
  }
}

@Suite struct CSVTraceTests {
  @Test func columnsAreFoundByName() {
    #expect(
      rows("cost,key,other,policy,tenant,time\n5,k,x,p,t,1.5\n") == ["1500000000 t p k 5"]
    )
  }

  @Test func keyAndCostMayBeMissingOrEmpty() {
    #expect(rows("time,tenant,policy\n1,t,p\n") == ["1000000000 t p  1"])
    #expect(rows("time,tenant,policy,key,cost\n1,t,p,,\n") == ["1000000000 t p  1"])
    #expect(rows("time,tenant,policy,key,cost\n1,t,p,k,0\n") == ["1000000000 t p k 0"])
  }

  @Test func otherColumnsMayBeNamed() {
    #expect(
      rows(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n",
        columns: "time=TIMESTAMP,cost=ContextTokens+GeneratedTokens",
        constants: .init(tenant: "acme", policy: "llm")
      )
        == ["1700158546680590000 acme llm  418"]
    )
    #expect(
      rows("time,org,p,who\n1,a,b,c\n", columns: "tenant=org,policy=p,key=who")
        == ["1000000000 a b c 1"]
    )
  }

  @Test func aMissingColumnIsNamedWithWhatWouldBeRight() {
    #expect(
      rows("TIMESTAMP,tenant,policy\n1,t,p\n") == [
        "memory:1: the header has no column 'time' for the time "
          + "(it has 'TIMESTAMP', 'tenant', 'policy'); name one with --columns time=COLUMN"
      ]
    )
    #expect(rows("time,policy\n")[0].hasSuffix("--columns tenant=COLUMN or --tenant-from"))
    #expect(rows("time,tenant\n")[0].hasSuffix("--columns policy=COLUMN or --policy"))
    #expect(rows("time,tenant,policy\n", columns: "key=k")[0].contains("no column 'k'"))
    #expect(rows("time,tenant,policy\n", columns: "cost=a+b")[0].contains("no column 'a'"))
    #expect(rows("time,tenant,time,policy\n") == ["memory:1: the header has 'time' twice"])
    #expect(rows("")[0].contains("is empty"))
  }

  @Test func malformedRowsAreNamedWithWhatWouldBeRight() {
    let text = """
      time,tenant,policy,key,cost
      1,t,p,k
      x,t,p,k,1
      1,,p,k,1
      1,t,p,k,-1
      1,t,p,k,1.5
      1,t,p,k,9223372036854775809
      1,t,p,k,9223372036854775808
      """
    let cost = "; a cost is a whole number from 0 to 2^63"
    #expect(
      rows(text) == [
        "memory:2: 4 fields, where the header has 5; a field with a comma in it needs quotes",
        "memory:3: cannot read the time 'x'; \(TraceTime.expectation)",
        "memory:4: an empty tenant; every row names its own",
        "memory:5: cannot read the cost '-1'\(cost)",
        "memory:6: cannot read the cost '1.5'\(cost)",
        "memory:7: cannot read the cost '9223372036854775809'\(cost)",
        "1000000000 t p k 9223372036854775808",
      ]
    )
  }

  @Test func summedCostsDoNotOverflow() {
    let header = "time,tenant,policy,a,b\n"
    #expect(
      rows(header + "1,t,p,9223372036854775808,0\n", columns: "cost=a+b")
        == ["1000000000 t p  9223372036854775808"]
    )
    #expect(
      rows(header + "1,t,p,9223372036854775808,1\n", columns: "cost=a+b")[0]
        .contains("cannot read the cost '1'")
    )
    #expect(rows(header + "1,t,p,,7\n", columns: "cost=a+b") == ["1000000000 t p  7"])
  }

  @Test func messagesShowNoControlCharacters() {
    #expect(
      rows("time,tenant,policy\n\u{1B}[2J,t,p\n")[0].contains("cannot read the time '·[2J'")
    )
  }

  @Test(arguments: ["time", "time=", "=x", "size=x", "time=a,time=b", "cost=a+", ""])
  func columnMapsAreChecked(text: String) {
    #expect(throws: Malformed.self) { try ColumnMap(parsing: text) }
  }
}
