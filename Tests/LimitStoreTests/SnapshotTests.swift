// Snapshots: what is written is read back, what is damaged is refused, and nothing in between.

import Foundation
import Glibc
import LimitEngine
import LimitStore
import LimitSystem
import TestSupport
import Testing

@Suite struct SnapshotTests {
  /// An installation without a live state, that has used so many keys and written a snapshot.
  private func written(keys count: Int) throws -> (Installation, Set<BucketRecord>) {
    let installation = try Installation()
    installation.isLive = false
    let first = try installation.open()
    first.use(keys: count)
    // A window that has rolled on has two words.
    installation.pass(3700)
    first.clocks = installation.clocks
    first.use(keys: count)
    try first.snapshot(installation)
    return (installation, first.records())
  }

  @Test("Every bucket is read back as it was", arguments: [0, 1, 20, 400])
  func roundTrip(count: Int) throws {
    let (installation, records) = try written(keys: count)
    let next = try installation.open()
    #expect(next.isFromSnapshot && next.refusals.isEmpty)
    #expect(next.records() == records)
    #expect(records.count >= count)
  }

  @Test("A snapshot says what it holds")
  func contents() throws {
    let (installation, records) = try written(keys: 20)
    let path = installation.snapshots.generations[0]
    let contents = try SnapshotContents(reading: path)
    #expect(contents.bucketCount == records.count)
    #expect(contents.names == [7: "bucket", 8: "window of nine"])
    #expect(contents.byteCount == (try bytes(of: path)).count)
    #expect(contents.info.sequence == 1)
  }

  @Test("Every prefix and every flipped bit is refused")
  func damage() throws {
    let (installation, _) = try written(keys: 3)
    let path = installation.snapshots.generations[0]
    let whole = try bytes(of: path)
    for length in 0..<whole.count {
      try write(whole[..<length], to: path)
      #expect(throws: SnapshotError.self, "\(length) bytes") {
        try SnapshotContents(reading: path)
      }
    }
    for place in whole.indices {
      var damaged = whole
      damaged[place] ^= UInt8(1 << (place % 8))
      try write(damaged, to: path)
      #expect(throws: SnapshotError.self, "byte \(place)") { try SnapshotContents(reading: path) }
    }
    try write(whole + [0], to: path)
    #expect(throws: SnapshotError.self) { try SnapshotContents(reading: path) }
    let next = try installation.open()
    #expect(next.isNothing && next.refusals.count == 1)
  }

  @Test("Where the newest generation is damaged, the one before is used")
  func otherGeneration() throws {
    let installation = try Installation()
    installation.isLive = false
    let first = try installation.open()
    first.use(keys: 9)
    for round in 1...5 {
      try first.snapshot(installation)
      _ = first.ask("round", cost: 1)
      let infos = installation.snapshots.generations.compactMap {
        try? SnapshotContents(reading: $0).info.sequence
      }
      #expect(infos.max() == UInt64(round) && infos.count == min(round, 2))
    }
    // The fifth, which saw four units used, is in the first place.
    let newest = try installation.open()
    #expect(newest.left("round") == 6)
    var damaged = try bytes(of: installation.snapshots.generations[0])
    damaged[damaged.count / 2] ^= 1
    try write(damaged, to: installation.snapshots.generations[0])
    let next = try installation.open()
    #expect(next.isFromSnapshot && next.refusals.count == 1)
    #expect(next.left("round") == 7)
    // The damaged one is put aside, and the next snapshot does not replace the sound one.
    #expect(access(installation.snapshots.generations[0] + ".refused", F_OK) == 0)
    try next.snapshot(installation)
    #expect(try SnapshotContents(reading: installation.snapshots.generations[1]).info.sequence == 4)
    #expect(try SnapshotContents(reading: installation.snapshots.generations[0]).info.sequence == 5)
  }

  /// What happens to a file.
  enum Harm: CaseIterable { case removed, cut, damaged, replaced }

  @Test(
    "A snapshot that is lost while it is restored is not half used: the one before is",
    arguments: Harm.allCases, [true, false])
  func harmWhileRestoring(_ harm: Harm, isLive: Bool) throws {
    let installation = try Installation()
    installation.isLive = false
    let first = try installation.open()
    first.use(keys: 300)
    try first.snapshot(installation)
    let before = first.records()
    first.use(keys: 400)
    try first.snapshot(installation)
    let newest = installation.snapshots.generations[1]
    let (whole, older) = (
      try bytes(of: newest), try bytes(of: installation.snapshots.generations[0])
    )
    installation.isLive = isLive
    var isHarmed = false
    // An engine is prepared after both files were read through, and before one is restored.
    let next = try installation.open(prepare: { _ in
      guard !isHarmed else { return }
      isHarmed = true
      switch harm {
      case .removed: unlink(newest)
      case .cut: truncate(newest, whole.count - 48)
      case .damaged:
        var damaged = whole
        damaged[damaged.count - 100] ^= 1
        try? write(damaged, to: newest)
      case .replaced: try? write(older, to: newest)
      }
    })
    #expect(isHarmed && next.isFromSnapshot && next.refusals.count == 1)
    let isAsBefore = next.records() == before
    #expect(isAsBefore)
    #expect(access(newest + ".refused", F_OK) == (harm == .removed ? -1 : 0))
  }

  @Test("Where both are lost while they are restored, nothing is, and both are told")
  func bothHarmed() throws {
    let installation = try Installation()
    installation.isLive = false
    let first = try installation.open()
    first.use(keys: 9)
    try first.snapshot(installation)
    try first.snapshot(installation)
    let next = try installation.open(prepare: { _ in
      for path in installation.snapshots.generations.reversed() where access(path, F_OK) == 0 {
        truncate(path, 200)
        return
      }
    })
    #expect(next.isNothing && next.refusals.count == 2 && next.records().isEmpty)
  }

  @Test(
    "A snapshot of another release is refused by its version", arguments: [1, 1 << 32] as [UInt64])
  func otherVersion(difference: UInt64) throws {
    let (installation, _) = try written(keys: 3)
    let path = installation.snapshots.generations[0]
    let other = SnapshotFormat.version + difference
    var changed = try bytes(of: path)
    withUnsafeBytes(of: other) { changed.replaceSubrange(16..<24, with: $0) }
    reseal(&changed)
    try write(changed, to: path)
    #expect(throws: SnapshotError.otherVersion(other)) { _ = try SnapshotReader(path) }
    let next = try installation.open()
    #expect(next.isNothing && next.refusals.count == 1)
    #expect(next.refusals[0].contains("and this release reads 2.4"), "\(next.refusals)")
  }

  @Test(
    "What a snapshot's records mean has the version of the records, whatever a region's layout is")
  func versions() {
    #expect(SnapshotFormat.version & 0xffff_ffff == BucketRecord.version)
    #expect(RegionLayout.version & 0xffff_ffff == BucketRecord.version)
  }

  @Test("How far a start is with a snapshot is told, up to its end")
  func progress() throws {
    let installation = try Installation()
    installation.isLive = false
    installation.sizes.keySlots = 1 << 16
    installation.sizes.keysPerTenantLimit = 1 << 16
    let first = try installation.open()
    first.use(keys: 20_000)
    let count = try first.snapshot(installation)
    let byteCount = try bytes(of: installation.snapshots.generations[0]).count
    var told: [OpeningProgress] = []
    let next = try installation.open(
      bucketsPerTelling: 1000, progress: { told.append($0) })
    #expect(next.isFromSnapshot && next.records().count == count)
    var (read, restored) = (0, 0)
    for progress in told {
      switch progress {
      case .reading(let done, let total):
        #expect(restored == 0 && read + 32_000 <= done && done <= total && total == byteCount)
        read = done
      case .restoring(let done, let total):
        #expect(restored < done || done == total)
        #expect(done <= total && total == count)
        restored = done
      }
    }
    #expect(read > byteCount / 2 && restored == count)
    // A small one is not worth a word.
    told = []
    _ = try installation.open(progress: { told.append($0) })
    #expect(told.isEmpty)
  }

  @Test("What a writer that was killed left is in nobody's way", arguments: [false, true])
  func leftover(isFolder: Bool) throws {
    let (installation, records) = try written(keys: 20)
    let path = "\(installation.folder)/snapshot.new"
    if isFolder { mkdir(path, 0o700) } else { try write([1, 2, 3], to: path) }
    let next = try installation.open()
    #expect(next.isFromSnapshot && next.records() == records && next.refusals.isEmpty)
    guard !isFolder else {
      // Not ours to remove, and told.
      #expect(throws: SnapshotWriteError.self) { try next.snapshot(installation) }
      return
    }
    try next.snapshot(installation)
    #expect(access(path, F_OK) != 0)
    #expect(try SnapshotContents(reading: installation.snapshots.generations[1]).info.sequence == 2)
  }

  @Test("What is over by then, and what is held, is not written")
  func onlyWhatMatters() throws {
    let installation = try Installation()
    installation.isLive = false
    let first = try installation.open()
    _ = first.ask("brief", "bucket", cost: 2)
    _ = first.ask("lasting", "bucket", cost: 9)
    #expect(first.hold("holder").remaining == 2)
    #expect(try first.snapshot(installation) == 2)
    // Two minutes and a second give both units back, and seven of nine remain to be given.
    installation.pass(121)
    first.clocks = installation.clocks
    #expect(try first.snapshot(installation) == 1)
    let contents = try SnapshotContents(reading: installation.snapshots.generations[1])
    #expect(contents.bucketCount == 1)
    let next = try installation.open()
    #expect(next.isFromSnapshot && next.left("lasting") == 3 && next.left("brief") == 10)
    #expect(next.hold("holder").remaining == 2)
  }

  @Test("Another installation's snapshot is refused")
  func otherHashKey() throws {
    let (installation, _) = try written(keys: 3)
    installation.hashKey = HashKey(low: 8, high: 9)
    let next = try installation.open()
    #expect(next.isNothing && next.refusals.count == 1 && next.refusals[0].contains("hash key"))
  }

  @Test("A FIFO or a directory in a generation's place makes nobody wait, and is told")
  func obstacles() throws {
    let (installation, _) = try written(keys: 3)
    let second = installation.snapshots.generations[1]
    for place in [{ mkfifo(second, 0o600) }, { mkdir(second, 0o700) }] {
      unlink(second)
      #expect(place() == 0)
      let next = try installation.open()
      #expect(next.isFromSnapshot && next.refusals.count == 1)
      // Put aside, so that nothing is in the next snapshot's way.
      try next.snapshot(installation)
      #expect(try SnapshotContents(reading: second).info.sequence == 2)
      // While the daemon runs, nobody puts anything aside.
      unlink(second)
      #expect(place() == 0)
      if (try? next.snapshot(installation)) == nil {
        #expect(access("\(installation.folder)/snapshot.new", F_OK) != 0)
      }
      #expect(try SnapshotContents(reading: installation.snapshots.generations[0]).bucketCount > 0)
      if rmdir(second) != 0 { unlink(second) }
      try? FileManager.default.removeItem(atPath: second + ".refused")
    }
  }

  @Test("A directory that is gone is an error, and no more")
  func goneDirectory() throws {
    let (installation, _) = try written(keys: 3)
    let opened = try installation.open()
    try FileManager.default.removeItem(atPath: installation.folder)
    #expect(throws: SnapshotWriteError.self) { try opened.snapshot(installation) }
    mkdir(installation.folder, 0o700)
    try opened.snapshot(installation)
  }

  @Test("What the loader is given at random, with right checksums or without, crashes nothing")
  func fuzz() throws {
    let (installation, _) = try written(keys: 20)
    let path = installation.snapshots.generations[0]
    let whole = try bytes(of: path)
    var random = SeededGenerator(seed: testSeed)
    for _ in 0..<2000 {
      var damaged = whole
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        damaged[Int.random(in: damaged.indices, using: &random)] = UInt8(
          truncatingIfNeeded: random.next())
      }
      if random.chance(1, in: 4) {
        damaged.removeLast(Int.random(in: 0..<damaged.count, using: &random))
      }
      reseal(&damaged)
      try write(damaged, to: path)
      let opened = try installation.open()
      opened.use(keys: 3)
    }
  }

  /// Makes the checksums of a damaged snapshot right, part by part, as far as its parts are found.
  private func reseal(_ bytes: inout [UInt8]) {
    var start = 0
    var count = 8 * SnapshotFormat.headerWords
    while count >= 40, start + count <= bytes.count {
      let part = bytes[(start + 8)..<(start + count)]
      let checksum = part.withUnsafeBytes { Checksum.of($0) }
      withUnsafeBytes(of: checksum) { bytes.replaceSubrange(start..<start + 8, with: $0) }
      start += count
      guard start + 40 <= bytes.count else { return }
      let words = bytes[(start + 12)..<(start + 16)].reversed().reduce(0) { $0 << 8 | Int($1) }
      count = 40 + 8 * words
    }
  }
}
