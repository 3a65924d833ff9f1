// Restarts and reboots on clocks that the test sets: time that passed counts, and no clock cheats.

import LimitEngine
import LimitStore
import Testing

@Suite struct ClockTests {
  /// An installation whose key "a" has 0 of 10 units left, one back a minute, by its snapshot.
  private func used() throws -> Installation {
    let installation = try Installation()
    let first = try installation.open()
    #expect(first.ask("a", "bucket", cost: 10).outcome == .allow)
    #expect(first.ask("a", "window", cost: 10).outcome == .allow)
    try first.snapshot(installation)
    return installation
  }

  @Test("Time that passed while the host was down counts as passed", arguments: [0, 60, 240, 540])
  func reboot(seconds: UInt64) throws {
    let installation = try used()
    installation.reboot(downSeconds: seconds)
    let next = try installation.open()
    #expect(next.isFromSnapshot)
    // The half minute of the start counts too.
    #expect(next.left("a") == seconds / 60)
  }

  @Test("After a reboot the windows go on where they were")
  func windows() throws {
    let installation = try used()
    installation.reboot(downSeconds: 600)
    do {
      let next = try installation.open()
      #expect(next.ask("a", "window", cost: 1).outcome == .deny)
      // No longer than its own two windows.
      #expect(next.ask("a", "window", cost: 1).retryAfter.count <= 7200 * second)
    }
    installation.reboot(downSeconds: 7200)
    let next = try installation.open()
    #expect(next.left("a", "window") == 10)
  }

  @Test("A wall clock that went back, or stands at 1970, counts as no time", arguments: [0, 3600])
  func wallClockBack(back: UInt64) throws {
    let installation = try used()
    installation.reboot(downSeconds: 0)
    installation.clocks.wall = back == 0 ? 0 : installation.clocks.wall - back * second
    let next = try installation.open()
    #expect(next.isFromSnapshot && next.left("a") == 0)
    // Nobody waits for longer than the bucket takes to fill.
    #expect(next.ask("a", "bucket", cost: 10).retryAfter.count <= 600 * second)
  }

  @Test("A wall clock far ahead fills buckets, and never more than that")
  func wallClockAhead() throws {
    let installation = try used()
    installation.reboot(downSeconds: 0)
    installation.clocks.wall = 1 << 62
    let next = try installation.open()
    #expect(next.left("a") == 10 && next.left("a", "window") == 10)
    #expect(next.ask("a", "bucket", cost: 10).outcome == .allow)
    #expect(next.ask("a", "bucket", cost: 1).outcome == .deny)
  }

  @Test("However often it jumps, decisions go on")
  func manyJumps() throws {
    let installation = try used()
    for _ in 0..<40 {
      installation.reboot(downSeconds: 0)
      installation.clocks.wall = 1 << 62
      let next = try installation.open()
      #expect(next.ask("b", "all", cost: 1).outcome == .allow)
      next.clocks.wall = 0
      try next.snapshot(installation)
      installation.clocks.wall = 0
    }
  }

  @Test("Within a boot the wall clock means nothing", arguments: [-3600, 3600])
  func steps(seconds: Int) throws {
    let installation = try used()
    let wall = installation.clocks.wall
    installation.pass(60)
    installation.clocks.wall = UInt64(Int(wall) + seconds * Int(second))
    do {
      let live = try installation.open()
      #expect(live.isLive && live.left("a") == 1)
    }
    installation.isLive = false
    let next = try installation.open()
    #expect(next.isFromSnapshot && next.left("a") == 1)
  }

  @Test("A host that is up for 300 days, asleep or awake, is like any other")
  func longUp() throws {
    let installation = try Installation()
    installation.clocks.boot = 300 * 86_400 * second
    do {
      let first = try installation.open()
      #expect(first.ask("a", "bucket", cost: 10).outcome == .allow)
      try first.snapshot(installation)
    }
    installation.pass(300)
    do {
      let next = try installation.open()
      #expect(next.isLive && next.left("a") == 5)
    }
    // Asleep for 200 days: longer than ticks can tell.
    installation.pass(200 * 86_400)
    let next = try installation.open()
    #expect(next.left("a") == 10 && next.left("a", "window") == 10)
  }

  @Test("Where the kernel does not name its boots, the wall clock decides")
  func unknownBoots() throws {
    let installation = try Installation()
    installation.isLive = false
    installation.clocks.bootID = .unknown
    let first = try installation.open()
    #expect(first.ask("a", "bucket", cost: 10).outcome == .allow)
    try first.snapshot(installation)
    installation.pass(120)
    let next = try installation.open()
    #expect(next.left("a") == 2)
  }
}
