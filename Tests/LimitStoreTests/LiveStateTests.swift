// The live region: what the next start makes of what a process left, whole, foreign or damaged.

import Foundation
import Glibc
import LimitEngine
import LimitStore
import LimitSystem
import TestSupport
import Testing

@Suite struct LiveStateTests {
  @Test("A start goes on with every bucket of the live state")
  func goesOn() throws {
    let installation = try Installation()
    do {
      let first = try installation.open()
      #expect(first.isNothing && first.refusals.isEmpty)
      first.use(keys: 200)
    }
    installation.pass(1)
    let next = try installation.open()
    #expect(next.isLive)
    #expect(next.differing(keys: 200).isEmpty)
    #expect(next.differing(keys: 200, "window").isEmpty)
  }

  @Test("A start with other sizes takes over every bucket, to more slots and to fewer")
  func otherSizes() throws {
    let installation = try Installation()
    do {
      let first = try installation.open()
      first.use(keys: 100)
    }
    for (keySlots, tenants) in [(1 << 12, 64), (1 << 11, 100), (1 << 10, 64)] {
      installation.sizes.keySlots = keySlots
      installation.sizes.tenantsMax = tenants
      do {
        let next = try installation.open()
        #expect(next.isResized)
        #expect(next.differing(keys: 100).isEmpty)
        #expect(next.differing(keys: 100, "window").isEmpty)
      }
      let again = try installation.open()
      #expect(again.isLive && again.differing(keys: 100).isEmpty)
    }
  }

  @Test("A live state that lies on a disk is used, and told")
  func onDisk() throws {
    let installation = try Installation()
    let disk = try TemporaryFolder(in: "/var/tmp")
    defer { disk.remove() }
    let isInMemory = try Descriptor(Glibc.open(disk.path, O_RDONLY | O_CLOEXEC)).isInMemory()
    guard !isInMemory else {
      return withKnownIssue("/var/tmp lies in memory here") { Issue.record("not tried") }
    }
    for (path, isTold) in [("\(disk.path)/limitd.live", true), (installation.livePath, false)] {
      let state = try StateOpening(
        sizes: installation.sizes, hashKey: installation.hashKey, liveStatePath: path,
        snapshots: nil, clocks: installation.clocks
      ).open()
      let told = state.report.findings.contains {
        if case .liveStateOnDisk(path) = $0 { true } else { false }
      }
      #expect(told == isTold || installation.folder.hasPrefix("/tmp"))
    }
  }

  @Test("Two never share one, and the second is told")
  func exclusive() throws {
    let installation = try Installation()
    let first = try installation.open()
    #expect(throws: StoreError.inUse(installation.livePath)) {
      _ = try installation.open(patience: 0)
    }
    #expect(first.left("a") == 10)
  }

  @Test("Another hash key's live state is put aside, and the start is a clean one")
  func otherHashKey() throws {
    let installation = try Installation()
    do {
      let first = try installation.open()
      first.use(keys: 10)
    }
    let kept = try bytes(of: installation.livePath)
    installation.hashKey = HashKey(low: 5, high: 6)
    let next = try installation.open()
    #expect(next.isNothing && next.refusals.count == 1 && next.refusals[0].contains("hash key"))
    #expect(next.left("k1") == 10)
    #expect(try bytes(of: installation.livePath + ".refused") == kept)
  }

  @Test("A live state of another boot, and one that is ahead of the clock, is not used")
  func otherBoot() throws {
    let installation = try Installation()
    let clocks = installation.clocks
    do {
      let first = try installation.open()
      first.use(keys: 10)
    }
    installation.clocks.bootID.high += 1
    do {
      let next = try installation.open()
      #expect(next.isNothing && next.refusals.count == 1 && next.refusals[0].contains("boot"))
    }
    // The clock of the same boot never goes back; another clock does.
    installation.clocks.boot = clocks.boot / 2
    let next = try installation.open()
    #expect(next.isNothing && next.refusals.count == 1 && next.refusals[0].contains("clock"))
  }

  /// What a start finds wrong with a live state.
  enum Fault: CaseIterable { case damaged, cut, otherBoot, otherLayout, otherWords, otherHashKey }

  @Test(
    "A live state that is refused is followed by the newest snapshot, but another installation's",
    arguments: Fault.allCases)
  func refusedBesideSnapshot(_ fault: Fault) throws {
    let installation = try Installation()
    do {
      let first = try installation.open()
      first.use(keys: 20)
      try first.snapshot(installation)
      // What the snapshot does not know.
      _ = first.ask("late", cost: 4)
    }
    var live = try bytes(of: installation.livePath)
    let version = RegionLayout.version
    func store(_ word: UInt64, at place: Int) {
      withUnsafeBytes(of: word) { live.replaceSubrange(place..<place + 8, with: $0) }
    }
    switch fault {
    case .damaged: live[16] ^= 1
    case .cut: live.removeLast()
    case .otherBoot: installation.clocks.bootID.low += 1
    case .otherLayout: store(version + 1 << 32, at: 8)
    case .otherWords: store(version + 1, at: 8)
    case .otherHashKey: installation.hashKey = HashKey(low: 5, high: 6)
    }
    try write(live, to: installation.livePath)
    let next = try installation.open()
    let why =
      switch fault {
      case .damaged: "header is damaged"
      case .cut: "cut short"
      case .otherBoot: "another boot"
      case .otherLayout: "layout version 6.4, and this release reads 5.4"
      case .otherWords: "layout version 5.5, and this release reads 5.4"
      case .otherHashKey: "hash key"
      }
    #expect(next.refusals.first?.contains(why) == true, "\(next.refusals)")
    if fault == .otherHashKey {
      #expect(next.isNothing && next.refusals.count == 2)
    } else {
      #expect(next.isFromSnapshot && next.refusals.count == 1)
      #expect(next.differing(keys: 20).isEmpty && next.differing(keys: 20, "window").isEmpty)
      #expect(next.left("late") == 10)
    }
    let isKept = [.otherLayout, .otherWords, .otherHashKey].contains(fault)
    #expect((try? bytes(of: installation.livePath + ".refused")) == (isKept ? live : nil))
  }

  @Test("What is no file of our own at the path stops the start, and nothing waits for it")
  func nothingElse() throws {
    let installation = try Installation()
    let path = installation.livePath
    let obstacles: [(String, () -> Void)] = [
      ("directory", { mkdir(path, 0o700) }), ("FIFO", { mkfifo(path, 0o600) }),
      ("link", { symlink("/dev/null", path) }),
      (
        "two names",
        {
          close(creat(path, 0o600))
          link(path, path + ".other")
        }
      ),
    ]
    for (name, place) in obstacles {
      place()
      #expect(throws: StoreError.self, "\(name)") { _ = try installation.open() }
      try FileManager.default.removeItem(atPath: path)
    }
    if geteuid() == 0 {
      close(creat(path, 0o666))
      chown(path, 65_534, 65_534)
      #expect(throws: StoreError.self) { _ = try installation.open() }
      unlink(path)
    }
    close(creat(path, 0o666))
    chmod(path, 0o666)
    let opened = try installation.open()
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    #expect(opened.isNothing)
  }

  @Test("A start that was killed while it made a region leaves the state of before")
  func killedWhileMaking() throws {
    let installation = try Installation()
    do {
      let first = try installation.open()
      first.use(keys: 50)
    }
    // Half a file beside, as such a start leaves it.
    try write([UInt8](repeating: 7, count: 9999), to: installation.livePath + ".new")
    installation.sizes.keySlots = 1 << 12
    let next = try installation.open()
    #expect(next.isResized && next.differing(keys: 50).isEmpty)
    #expect(access(installation.livePath + ".new", F_OK) != 0)
  }

  @Test("Files of these lengths, and every damaged byte of the header, are refused or do no harm")
  func damage() throws {
    let installation = try Installation()
    do {
      let first = try installation.open()
      first.use(keys: 20)
    }
    let whole = try bytes(of: installation.livePath)
    let lengths = [0, 1, 8, 4095, 4096, 4097, whole.count / 2, whole.count - 1]
    for length in lengths {
      try write(whole[..<length], to: installation.livePath)
      let opened = try installation.open()
      #expect(opened.isNothing && opened.left("k3") == 10, "\(length) bytes")
      #expect(opened.refusals.count == (length == 0 ? 0 : 1))
    }
    for place in 0..<256 {
      var damaged = whole
      damaged[place] ^= UInt8(1 << (place % 8))
      try write(damaged, to: installation.livePath)
      let opened = try installation.open()
      if opened.isLive {
        #expect(opened.differing(keys: 20).isEmpty, "byte \(place)")
      } else {
        #expect(opened.isNothing && opened.refusals.count == 1, "byte \(place)")
      }
      unlink(installation.livePath + ".refused")
    }
  }

  @Test("Damage anywhere behind the header crashes nothing")
  func damageBehind() throws {
    let installation = try Installation()
    do {
      let first = try installation.open()
      first.use(keys: 200)
    }
    let whole = try bytes(of: installation.livePath)
    var random = SeededGenerator(seed: testSeed)
    for _ in 0..<100 {
      var damaged = whole
      for _ in 0..<Int.random(in: 1...2000, using: &random) {
        damaged[Int.random(in: 4096..<whole.count, using: &random)] = UInt8(
          truncatingIfNeeded: random.next())
      }
      try write(damaged, to: installation.livePath)
      let opened = try installation.open()
      #expect(opened.isLive, "seed \(testSeed)")
      opened.use(keys: 300)
    }
  }
}
