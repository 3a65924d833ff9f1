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
      while let next = buffer.next() { out.append(next) }
    }
    buffer.drain()
    while let next = buffer.next() { out.append(next) }
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
    #expect(buffer.next()?.time == nil)
    try buffer.admit(109)
    buffer.insert(row(109))
    #expect(buffer.next()?.time == nil)
    try buffer.admit(110)
    buffer.insert(row(110))
    #expect(buffer.next()?.time == 100)
    #expect(buffer.next()?.time == nil)
  }

  @Test func aRowThatIsTooLateIsRefused() throws {
    var buffer = ReorderBuffer(horizon: 2_000_000_000)
    try buffer.admit(10_000_000_000)
    try buffer.admit(8_000_000_000)
    #expect(throws: Malformed("the time goes back by 3.2 s, more than --reorder allows")) {
      try buffer.admit(6_800_000_000)
    }
    var strict = ReorderBuffer(horizon: 0)
    try strict.admit(5)
    try strict.admit(5)
    #expect(throws: Malformed.self) { try strict.admit(4) }
  }

  @Test func aFullBufferLetsTheOldestGoEarly() throws {
    var buffer = ReorderBuffer(horizon: 1000, rowsMax: 3)
    for time: UInt64 in [10, 12, 11] {
      try buffer.admit(time)
      buffer.insert(row(time))
    }
    #expect(buffer.next()?.time == nil)
    try buffer.admit(13)
    buffer.insert(row(13))
    #expect(buffer.next()?.time == 10)
    #expect(buffer.next()?.time == nil)
    #expect(throws: Malformed.self) { try buffer.admit(9) }
    try buffer.admit(10)
  }
}
