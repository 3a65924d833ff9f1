// Putting rows in order: what is held back, for how long, and what comes too late.

import LimitConsole
import TestSupport
import Testing

@testable import LimitReplay

private func row(_ time: UInt64, _ line: Int = 0) -> TraceRow {
  var row = TraceRow()
  row.time = time
  row.line = line
  return row
}

/// The rows that go out now.
private func taken(from buffer: inout ReorderBuffer) -> [TraceRow] {
  var rows: [TraceRow] = []
  var row = TraceRow()
  while buffer.next(into: &row) { rows.append(row.detached()) }
  return rows
}

/// The time of the row that goes out next; `nil` where none does.
private func firstTime(in buffer: inout ReorderBuffer) -> UInt64? {
  var row = TraceRow()
  return buffer.next(into: &row) ? row.time : nil
}

@Suite struct ReorderBufferTests {
  @Test func rowsComeOutInOrderOfTimeAndTiesInOrderOfTheFile() throws {
    let seed: UInt64 = 5
    var generator = SeededGenerator(seed: seed)
    var buffer = ReorderBuffer(horizon: 60)
    var rows: [TraceRow] = []
    var out: [TraceRow] = []
    for line in 0..<5000 {
      let late = UInt64.random(in: 0...60, using: &generator)
      rows.append(row(UInt64(100 + line / 3) - late, line))
      // Late by at most 60 against the newest so far, which the next admit checks.
      guard (try? buffer.admit(rows[line].time)) != nil else {
        rows[line].time = .max
        continue
      }
      buffer.insert(rows[line])
      out += taken(from: &buffer)
    }
    buffer.drain()
    out += taken(from: &buffer)
    let expected = rows.filter { $0.time != .max }.sorted {
      ($0.time, $0.line) < ($1.time, $1.line)
    }
    #expect(expected.count > 4900)
    #expect(out.map(\.line) == expected.map(\.line), "seed \(seed)")
  }

  @Test func aRowGoesOutOnceNoneMayComeBeforeIt() throws {
    var buffer = ReorderBuffer(horizon: 10)
    try buffer.admit(100)
    buffer.insert(row(100))
    #expect(firstTime(in: &buffer) == nil)
    try buffer.admit(109)
    buffer.insert(row(109))
    #expect(firstTime(in: &buffer) == nil)
    try buffer.admit(110)
    buffer.insert(row(110))
    #expect(firstTime(in: &buffer) == 100)
    #expect(firstTime(in: &buffer) == nil)
  }

  @Test func aRowThatIsTooLateIsRefused() throws {
    var buffer = ReorderBuffer(horizon: 2_000_000_000)
    try buffer.admit(10_000_000_000)
    try buffer.admit(8_000_000_000)
    #expect(
      throws: Malformed(
        "the time goes back by 3.2 s, more than --reorder allows; --reorder 4s would do")
    ) {
      try buffer.admit(6_800_000_000)
    }
    var strict = ReorderBuffer(horizon: 0)
    try strict.admit(5)
    try strict.admit(5)
    #expect(throws: Malformed.self) { try strict.admit(4) }
  }

  @Test func rowsComeBackWhole() throws {
    var buffer = ReorderBuffer(horizon: 1)
    for number in 0..<20_000 {
      var row = TraceRow()
      row.time = UInt64(number)
      row.cost = UInt64(number) << 30
      row.line = number * 7
      row.policy = number % 1000
      let name = Array("tenant-\(number)".utf8)
      row.setText(tenant: name[...], policy: [1, 2], key: name[3...])
      try buffer.admit(row.time)
      buffer.insert(row)
    }
    buffer.drain()
    for (number, row) in taken(from: &buffer).enumerated() {
      let name = Array("tenant-\(number)".utf8)
      #expect(
        row.cost == UInt64(number) << 30 && row.line == number * 7 && row.policy == number % 1000)
      #expect(row.text[row.tenantRange] == name[...] && row.text[row.keyRange] == name[3...])
    }
  }

  @Test func memoryIsUsedAgainAndAFullBufferLetsTheOldestGoEarly() throws {
    let max = 4 << 20
    var buffer = ReorderBuffer(horizon: 1_000_000_000_000, memoryMax: max)
    var left = 0
    for time in UInt64(0)..<200_000 {
      var row = TraceRow()
      row.time = time * 1_000_000
      row.setText(tenant: Array("tenant".utf8)[...], policy: [1], key: Array("key".utf8)[...])
      try buffer.admit(row.time)
      buffer.insert(row)
      left += taken(from: &buffer).count
      #expect(buffer.memory <= max)
    }
    #expect(left > 100_000)
    do throws(Malformed) {
      try buffer.admit(0)
      Issue.record("a row before those that went out early found a place")
    } catch {
      #expect(
        error.what.contains("--reorder-memory 5M holds the last 1m 6s of this trace"),
        "\(error.what)")
      #expect(error.what.contains("would do"))
    }
  }
}
