// State that meets other rules than it was written by: at a start, after an end amid a change, and in
// a snapshot that a change fell into. Units stay units.

import Foundation
import Glibc
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitStore
import TestSupport
import Testing

@Suite struct RulesTests {
  private static let few = House.file(
    """
      bucket: {algorithm: token-bucket, rate: 1/1h, burst: 10, scope: key}
      window: {algorithm: sliding-window, limit: 10, window: 30d, scope: key}
      shared: {algorithm: token-bucket, rate: 1/1h, burst: 100, scope: tenant}
    """)
  private static let many = House.file(
    """
      window: {algorithm: sliding-window, limit: 50, window: 1h, scope: key}
      shared: {algorithm: token-bucket, rate: 1/1m, burst: 900, scope: tenant}
      bucket: {algorithm: token-bucket, rate: 1/1m, burst: 100, scope: key}
    """)
  private static let fewer = House.file(
    """
      bucket: {algorithm: token-bucket, rate: 1/1d, burst: 5, scope: key}
      window: {algorithm: sliding-window, limit: 5, window: 2d, scope: key}
      shared: {algorithm: token-bucket, rate: 1/1d, burst: 30, scope: tenant}
    """)

  /// Uses 4 units of each limit.
  private func use(_ daemon: Household, key: String = "k") {
    for policy in ["bucket", "window"] {
      #expect(daemon.ask(policy, 4, key: key).outcome == .allow)
    }
  }

  private func expectUsed(_ daemon: Household, _ file: PolicyFile, key: String = "k") {
    let capacity: UInt64 = file.source == Self.few.source ? 10 : 50
    for policy in ["bucket", "window"] {
      let full = policy == "bucket" && capacity == 50 ? 100 : capacity
      #expect(daemon.left(policy, key: key) == full - 4, "\(policy) of \(key)")
    }
    #expect(
      daemon.state.engine.invariantViolation(at: daemon.now) == nil)
  }

  @Test(
    "A start with another file keeps units, whatever the state comes from",
    arguments: Passage.allCases)
  func changed(_ passage: Passage) throws {
    let house = try House()
    do {
      let daemon = try house.start(Self.few)
      use(daemon)
      #expect(daemon.ask("shared", 40).remaining == 60)
      try daemon.snapshot()
    }
    house.pass(passage)
    do {
      let daemon = try house.start(Self.many)
      if case .changed = house.goingOn.former {} else { Issue.record("not changed") }
      #expect(house.goingOn.count == ConversionCount(converted: 3))
      expectUsed(daemon, Self.many)
      #expect(daemon.left("shared") == 860)
      try daemon.snapshot()
    }
    house.pass(passage)
    do {
      let daemon = try house.start(Self.fewer)
      #expect(daemon.left("bucket") == 1)
      #expect(daemon.left("window") == 1)
      // 40 were used: more than the new bucket holds, and no more is owed than that.
      #expect(daemon.ask("shared", 30).retryAfter == 30 * .day)
    }
  }

  @Test(
    "A start with the same file converts nothing, whatever was put in force before",
    arguments: Passage.allCases)
  func same(_ passage: Passage) throws {
    let house = try House()
    do {
      let daemon = try house.start(Self.few)
      use(daemon)
      daemon.change(to: Self.many, converts: true)
      try daemon.snapshot()
    }
    house.pass(passage)
    let daemon = try house.start(Self.many)
    if case .same = house.goingOn.former {} else { Issue.record("not the same") }
    #expect(house.goingOn.count == ConversionCount())
    #expect(!house.goingOn.wasChanging)
    expectUsed(daemon, Self.many)
    // And the next change knows what the words are.
    daemon.change(to: Self.few)
    expectUsed(daemon, Self.few)
  }

  @Test(
    "An end amid a change leaves words of both rules, and all are read rightly",
    arguments: Passage.allCases, [0, 1, 2])
  func amidChange(_ passage: Passage, _ nextFile: Int) throws {
    let house = try House()
    do {
      let daemon = try house.start(Self.few)
      // An odd generation and an even one.
      daemon.change(to: Self.fewer, converts: true)
      daemon.change(to: Self.few, converts: true)
      for key in ["old", "met", "both"] { use(daemon, key: key) }
      daemon.change(to: Self.many)
      // Whoever is met is converted; of one, the bucket alone.
      #expect(daemon.ask("bucket", 1, key: "met").outcome == .allow)
      #expect(daemon.ask("window", 1, key: "met").outcome == .allow)
      #expect(daemon.ask("bucket", 1, key: "both").outcome == .allow)
      use(daemon, key: "new")
      try daemon.snapshot()
    }
    house.pass(passage)
    let file = [Self.many, Self.few, Self.fewer][nextFile]
    let daemon = try house.start(file)
    #expect(house.goingOn.wasChanging)
    let capacities: (bucket: UInt64, window: UInt64) = [(100, 50), (10, 10), (5, 5)][nextFile]
    for (key, bucket, window) in [("old", 4, 4), ("met", 5, 5), ("both", 5, 4), ("new", 4, 4)]
      as [(String, UInt64, UInt64)]
    {
      #expect(daemon.left("bucket", key: key) == capacities.bucket - bucket, "\(key)")
      #expect(daemon.left("window", key: key) == capacities.window - window, "\(key)")
    }
    #expect(!daemon.state.engine.rules.isChanging)
    #expect(daemon.state.engine.invariantViolation(at: daemon.now) == nil)
  }

  @Test(
    "What a change left behind is judged as of the change, however long the daemon is down",
    arguments: [Passage.live, .otherSizes, .snapshot])
  func leftBehind(_ passage: Passage) throws {
    let short = House.file(
      "  window: {algorithm: sliding-window, limit: 10, window: 1m, scope: key}")
    let long = House.file(
      "  window: {algorithm: sliding-window, limit: 10, window: 1d, scope: key}")
    let house = try House()
    do {
      let daemon = try house.start(short)
      #expect(daemon.ask("window", 4).outcome == .allow)
      daemon.change(to: long)
      try daemon.snapshot()
    }
    house.pass(passage)
    house.installation.pass(600)
    #expect(try house.start(long).left("window") == 6)
  }

  @Test("An end between keeping a file and putting it in force leaves the rules before")
  func beforeChange() throws {
    let house = try House()
    do {
      use(try house.start(Self.few))
      try house.kept.keep(Self.many.source, identity: Self.many.sourceIdentity)
    }
    let daemon = try house.start(Self.many)
    expectUsed(daemon, Self.many)
  }

  @Test("An end amid the conversion of a start is gone on with by the next")
  func amidStart() throws {
    let house = try House()
    do { use(try house.start(Self.few)) }
    // As far as a start comes before it converts.
    do {
      let daemon = try house.start(Self.few)
      daemon.change(to: Self.many)
    }
    do {
      let daemon = try house.start(Self.fewer)
      #expect(house.goingOn.wasChanging)
      #expect(daemon.left("bucket") == 1)
    }
  }

  @Test(
    "Where nobody knows the rules, waits are cut to the new limits' own, and nothing is forgiven",
    arguments: [Passage.live, .snapshot])
  func unknown(_ passage: Passage) throws {
    let house = try House()
    do {
      let daemon = try house.start(Self.few)
      use(daemon)
      #expect(daemon.ask("shared", 100).outcome == .allow)
      try daemon.snapshot()
    }
    unlink(house.kept.path(of: Self.few.sourceIdentity))
    house.pass(passage)
    let daemon = try house.start(Self.many)
    if case .unknown = house.goingOn.former {} else { Issue.record("not unknown") }
    // Four hours are owed, and 100 min fill the bucket.
    let denied = daemon.ask("bucket")
    #expect(denied.outcome == .deny && denied.retryAfter <= 60 * .second)
    #expect(denied.resetAfter == 6_000 * .second)
    // A count is a count, and is out of view within two new windows.
    #expect(daemon.left("window") == 46)
    house.installation.pass(2 * 3600)
    #expect(daemon.left("window") == 50)
  }

  @Test("The file that is given is known, kept or not")
  func knownByContents() throws {
    let house = try House()
    do { use(try house.start(Self.few)) }
    unlink(house.kept.path(of: Self.few.sourceIdentity))
    let daemon = try house.start(Self.few)
    if case .same = house.goingOn.former {} else { Issue.record("not the same") }
    expectUsed(daemon, Self.few)
  }

  @Test("A limit that is gone ends its buckets, and they are counted")
  func gone() throws {
    let house = try House()
    do {
      let daemon = try house.start(Self.few)
      for key in ["a", "b", "c"] { use(daemon, key: key) }
    }
    let rest = House.file(
      "  window: {algorithm: sliding-window, limit: 10, window: 30d, scope: key}")
    do {
      let daemon = try house.start(rest)
      #expect(house.goingOn.count == ConversionCount(converted: 3, ended: 3))
      #expect(daemon.left("window", key: "a") == 6)
    }
    let daemon = try house.start(Self.few)
    #expect(house.goingOn.count.ended == 0)
    #expect(daemon.left("bucket", key: "a") == 10)
    #expect(daemon.left("window", key: "b") == 6)
  }

  @Test("A tenant that nobody knows for a while keeps its units")
  func unknownTenant() throws {
    let bucket = "  bucket: {algorithm: token-bucket, rate: 1/1h, burst: 10, scope: tenant}"
    let plain = House.file(bucket, tenants: "acme: {limits: {bucket: {burst: 40}}}, b: {}")
    let gone = House.file(bucket, tenants: "b: {}")
    let back = House.file(
      bucket, tenants: "acme: {limits: {bucket: {burst: 80, rate: 1/1m}}}, b: {}")
    let house = try House()
    do { #expect(try house.start(plain).ask("bucket", 7).remaining == 33) }
    // Both parities come by.
    for file in [gone, plain, gone, House.file(bucket, tenants: "c: {}")] {
      _ = try house.start(file)
    }
    #expect(try house.start(back).left("bucket") == 73)
  }

  // MARK: Snapshots

  @Test(
    "A change that falls into the writing of a snapshot is read back rightly; two begin it anew")
  func snapshotAcrossChange() throws {
    for changes in [1, 2] {
      let house = try House()
      house.installation.isLive = false
      // The table is written in several steps.
      house.installation.sizes.keySlots = 1 << 14
      do {
        let daemon = try house.start(Self.few)
        for key in 0..<400 { use(daemon, key: "\(key)") }
        var calls = 0
        try daemon.snapshot(unless: {
          calls += 1
          // Amid the key table, of which parts are written already.
          if calls == 2 || (calls == 3 && changes == 2) {
            daemon.change(to: calls == 2 ? Self.many : Self.fewer, converts: true)
            use(daemon, key: "later \(calls)")
          }
          return false
        })
      }
      let daemon = try house.start(Self.few)
      for key in 0..<400 {
        #expect(daemon.left("bucket", key: "\(key)") == 6, "\(key), \(changes) changes")
        #expect(daemon.left("window", key: "\(key)") == 6, "\(key), \(changes) changes")
      }
      #expect(daemon.state.report.findings.isEmpty)
    }
  }

  // MARK: Kept files

  @Test("Files are kept until no state is read by them; one that is damaged is no file")
  func keptFiles() throws {
    let house = try House()
    let files = [Self.few, Self.many, Self.fewer]
    for file in files { try house.kept.keep(file.source, identity: file.sourceIdentity) }
    #expect(house.kept.last()?.bytes == Self.fewer.source)
    house.kept.prune { [Self.few.sourceIdentity] }
    #expect(house.kept.bytes(of: Self.few.sourceIdentity) == Self.few.source)
    #expect(house.kept.bytes(of: Self.many.sourceIdentity) == nil)
    #expect(house.kept.bytes(of: Self.fewer.sourceIdentity) == Self.fewer.source)
    var damaged = Self.fewer.source
    damaged[9] ^= 1
    try write(damaged, to: house.kept.path(of: Self.fewer.sourceIdentity))
    #expect(house.kept.last() == nil)
    // What is damaged is written anew.
    try house.kept.keep(Self.fewer.source, identity: Self.fewer.sourceIdentity)
    #expect(house.kept.last()?.bytes == Self.fewer.source)
    #expect(house.kept.last()?.path == house.kept.path(of: Self.fewer.sourceIdentity))
  }

  @Test("What lies over a file is kept beside it, and is not the newest file")
  func overlaysAreKept() throws {
    let house = try House()
    try house.kept.keep(Self.few.source, identity: Self.few.sourceIdentity)
    let documents = (0..<3).map { [UInt8]("overlay \($0)".utf8) }
    let identities = documents.map { Checksum.identity(of: $0) }
    for (document, identity) in zip(documents, identities) {
      try house.kept.keep(document, identity: identity, as: .overlay)
      // Once more, as where a change does not touch it; and where somebody took it away.
      try house.kept.keep(document, identity: identity, as: .overlay)
      unlink(house.kept.path(of: identity, .overlay))
      try house.kept.keep(document, identity: identity, as: .overlay)
      #expect(house.kept.bytes(of: identity, .overlay) == document)
    }
    #expect(house.kept.last()?.bytes == Self.few.source)
    // The newest may be on its way into force, so that nothing names it as yet.
    house.kept.prune { [identities[0]] }
    #expect(
      identities.map { house.kept.bytes(of: $0, .overlay) } == [documents[0], nil, documents[2]])
    #expect(house.kept.bytes(of: identities[0]) == nil)
    #expect(house.kept.last()?.bytes == Self.few.source)
  }
}
