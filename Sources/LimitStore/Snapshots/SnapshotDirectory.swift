// The two generations of snapshots in the state directory, and how a new one takes the older one's
// place: written beside, made durable, renamed, and the directory made durable too. A file whose
// fsync failed is given up: a second one would succeed without the data being there.
//
// One thread writes at a time; reading is free to anybody.

import Glibc
package import LimitEngine
package import LimitSystem

/// `STATE_DIR/snapshot.1` and `snapshot.2`.
package struct SnapshotDirectory: Sendable {
  package let path: String

  package init(_ path: String) { self.path = path }

  /// The paths of both generations, whether they are there or not.
  package var generations: [String] { ["\(path)/snapshot.1", "\(path)/snapshot.2"] }

  private var newPath: String { "\(path)/snapshot.new" }

  // MARK: Reading

  /// The newest snapshot that is whole and of this installation. What is wrong with the others is
  /// added to `findings`, and they are put aside under `.refused`: the next snapshot must not take
  /// them for the newest, nor a person miss them. O(bytes of both). Only at start.
  ///
  /// - Parameters:
  ///   - others: paths of those that are refused already, whether they could be put aside or not.
  ///   - bytesPerTelling: how many are read from one call of `progress` to the next.
  ///   - progress: called with how many bytes of one are read, and of how many.
  package func newest(
    hashKey: HashKey, except others: Set<String> = [], _ findings: inout [OpeningReport.Finding],
    tellingEvery bytesPerTelling: Int = .max, _ progress: (Int, Int) -> Void = { _, _ in }
  ) -> FoundSnapshot? {
    let found = sound()
    for (path, error) in found.unsound where !others.contains(path) {
      refuse(path, error, &findings)
    }
    for (path, _) in found.byAge where !others.contains(path) {
      do throws(SnapshotError) {
        let contents = try SnapshotContents(
          reading: path, tellingEvery: bytesPerTelling, progress)
        guard contents.info.hashKeyCheck == hashKey.check else { throw .otherHashKey }
        return FoundSnapshot(path: path, contents: contents)
      } catch {
        refuse(path, error, &findings)
      }
    }
    return nil
  }

  /// Puts a generation aside, and says why.
  func refuse(
    _ path: String, _ error: SnapshotError, _ findings: inout [OpeningReport.Finding]
  ) {
    findings.append(.snapshotRefused(path: path, why: "\(error)"))
    rename(path, path + ".refused")
  }

  /// Generations whose header is sound, the newest first, and what is in the others' places.
  private func sound() -> (
    byAge: [(path: String, info: SnapshotInfo)], unsound: [(String, SnapshotError)]
  ) {
    var found: [(path: String, info: SnapshotInfo)] = []
    var unsound: [(String, SnapshotError)] = []
    for path in generations {
      do throws(SnapshotError) {
        found.append((path, try SnapshotReader(path).info))
      } catch {
        if error != .unreadable(SystemError(number: ENOENT)) { unsound.append((path, error)) }
      }
    }
    return (found.sorted { $0.info.sequence > $1.info.sequence }, unsound)
  }

  /// `PolicyFile.sourceIdentity` of the rules that the generations' buckets are written by.
  package var sources: Set<UInt64> {
    let rules = sound().byAge.map(\.info.rules)
    return Set(rules.flatMap { [$0.source, $0.formerSource ?? 0] })
  }

  // MARK: Writing

  /// Writes a snapshot in place of the older generation.
  ///
  /// - Parameters:
  ///   - engine: decisions go on meanwhile; each bucket is written as it was at some moment.
  ///   - limits: what limits in force are called.
  ///   - isAbandoned: asked now and then; where it says so, the file is given up.
  /// - Returns: how many buckets were written, and how many bytes; `nil` where it was abandoned.
  /// - Throws: what the disk said; both generations are as they were then.
  package func write(
    _ engine: Engine, hashKey: HashKey, clocks: HostClocks, clockOffset: UInt64,
    limits: [(identity: UInt64, name: String)], unless isAbandoned: () -> Bool
  ) throws(SnapshotWriteError) -> (buckets: Int, bytes: Int)? {
    let newest = sound().byAge.first
    var info = SnapshotInfo(
      sequence: (newest?.info.sequence ?? 0) &+ 1, clocks: clocks, clockOffset: clockOffset,
      hashKeyCheck: hashKey.check, rules: engine.rules)
    // Never the newest: the other one, whether it is older, damaged or not there.
    let target = generations.first { $0 != newest?.path } ?? generations[0]
    unlink(newPath)
    do throws(SnapshotWriteError) {
      var writer = try SnapshotWriter(newPath, info)
      // Ends because each further turn means that rules were put in force twice meanwhile.
      while true {
        let result = try writer.write(engine, limits, unless: isAbandoned)
        if result == .written { break }
        unlink(newPath)
        if result == .abandoned { return nil }
        info.rules = engine.rules
        writer = try SnapshotWriter(newPath, info)
      }
      try writer.makeDurable()
      guard rename(newPath, target) == 0 else { throw .init("put in place", .last()) }
      try makeDurable()
      return (writer.bucketCount, writer.byteCount)
    } catch {
      unlink(newPath)
      throw error
    }
  }

  private func makeDurable() throws(SnapshotWriteError) {
    do throws(SystemError) {
      try Descriptor.makeDirectoryDurable(path)
    } catch {
      throw .init("make the directory durable", error)
    }
  }
}

/// What could not be done with a snapshot's file.
package struct SnapshotWriteError: Error, Hashable, Sendable, CustomStringConvertible {
  package let doing: String
  package let error: SystemError

  init(_ doing: String, _ error: SystemError) {
    self.doing = doing
    self.error = error
  }

  package var description: String { "cannot \(doing): \(error)" }
}
