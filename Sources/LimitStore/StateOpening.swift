// Where the engine of a daemon that starts comes from: the live region that the last one left, else
// its newest snapshot, else nothing.
//
// A new region is made beside the live state and put in its place when it is complete: a process
// that is killed while it copies or restores leaves what there was before. One thread, at start.

package import LimitEngine
import LimitSystem

/// What became of the state at a start, for the log.
package struct OpeningReport: Sendable {
  package enum Source: Sendable {
    /// There was nothing to go on with.
    case nothing
    /// The live region.
    case live(Recovery)
    /// A live region of other sizes, whose buckets were copied; so many found no room.
    case resized(Recovery, dropped: Int)
    /// A snapshot.
    case snapshot(path: String, SnapshotRestore)
  }

  /// Something that a person should know of.
  package enum Finding: Sendable {
    /// The live state was not taken, and why; where it was put aside for a look, that path.
    case liveStateRefused(String, why: String, keptAs: String?)
    /// It lies on a disk.
    case liveStateOnDisk(String)
    /// A snapshot was not taken, and why.
    case snapshotRefused(path: String, why: String)
  }

  package var source = Source.nothing
  package var findings: [Finding] = []
}

/// How far a start is with a snapshot.
package enum OpeningProgress: Hashable, Sendable {
  /// Reading it through, before anything in it is used; in bytes.
  case reading(done: Int, of: Int)
  /// Putting its buckets into the engine.
  case restoring(done: Int, of: Int)
}

/// An engine that goes on where the last one ended.
package struct OpenedState: ~Copyable {
  package let engine: Engine
  /// What `EngineClock` is to be set to.
  package let clockOffset: UInt64
  package let report: OpeningReport
  /// Holds the live state's lock; `nil` where the engine is in private memory.
  package let liveFile: LiveFile?
}

/// What a start has to go on with.
package struct StateOpening {
  package var sizes: Engine.Configuration
  package var hashKey: HashKey
  /// `nil`: in private memory, which ends with the process.
  package var liveStatePath: String?
  /// Where snapshots are; `nil`: none are read.
  package var snapshots: SnapshotDirectory?
  package var clocks: HostClocks
  /// How long to wait for a daemon that is ending, in ns.
  package var patience = LiveFile.patienceNanoseconds
  /// Gets an engine before anything is put into it.
  package var prepare: (Engine) -> Void = { _ in }
  /// Told now and then how far it is.
  package var progress: (OpeningProgress) -> Void = { _ in }
  /// How many buckets are restored from one telling to the next; so many times 32 bytes are read.
  package var bucketsPerTelling = 1_000_000

  package init(
    sizes: Engine.Configuration, hashKey: HashKey, liveStatePath: String?,
    snapshots: SnapshotDirectory?, clocks: HostClocks
  ) {
    self.sizes = sizes
    self.hashKey = hashKey
    self.liveStatePath = liveStatePath
    self.snapshots = snapshots
    self.clocks = clocks
  }

  /// - Parameter making: told each path at which something will be that is of no use before this
  ///   returns, for who ends the process meanwhile.
  /// - Throws: `StoreError` where the memory is not there, or the live state is another's. State that
  ///   is damaged, foreign or too old is no error: the report says so.
  package func open(making: (String) -> Void = { _ in }) throws(StoreError) -> OpenedState {
    var report = OpeningReport()
    guard let liveStatePath else {
      let byteCount = Engine.byteCount(sizes)
      let (engine, offset) = try restored(&report) { () throws(StoreError) in
        (try TableMemory.allocate(byteCount: byteCount), TableMemory.release)
      }
      return OpenedState(engine: engine, clockOffset: offset, report: report, liveFile: nil)
    }
    var file = try LiveFile(liveStatePath, patience: patience)
    making(file.newPath)
    if file.isEmpty { making(file.path) }
    if !file.isInMemory { report.findings.append(.liveStateOnDisk(liveStatePath)) }
    if !file.isEmpty {
      do throws(Refusal) {
        let (engine, offset) = try adopt(&file, &report)
        return OpenedState(engine: engine, clockOffset: offset, report: report, liveFile: file)
      } catch {
        if case .store(let error) = error { throw error }
        try refuse(error, &file, &report)
      }
    }
    var made: NewLiveFile?
    let byteCount = Engine.byteCount(sizes)
    let (engine, offset): (Engine, UInt64)
    do throws(StoreError) {
      (engine, offset) = try restored(&report) { () throws(StoreError) in
        let new = try file.make(byteCount: byteCount)
        let memory = new.memory
        made = consume new
        return (memory, LiveFile.unmap)
      }
    } catch {
      file.removeEmpty()
      throw error
    }
    try file.replace(by: made.take()!)
    return OpenedState(engine: engine, clockOffset: offset, report: report, liveFile: file)
  }

  // MARK: The live region

  /// Why a live region is not taken.
  private enum Refusal: Error {
    case region(RegionError)
    case damagedWords
    case otherBoot
    case store(StoreError)

    var why: String {
      switch self {
      case .region(let error): "\(error)"
      case .damagedWords: "its header is damaged"
      case .otherBoot: "it is from another boot"
      case .store(let error): "\(error)"
      }
    }

    /// Whether another release or another hash key may still make sense of it.
    var isWorthKeeping: Bool {
      switch self {
      case .region(.otherVersion), .region(.otherHashKey): true
      default: false
      }
    }
  }

  private func adopt(_ file: inout LiveFile, _ report: inout OpeningReport) throws(Refusal)
    -> (Engine, UInt64)
  {
    guard let memory = try storing({ () throws(StoreError) in try file.mapped() }) else {
      throw .region(.truncated(needed: 4096))
    }
    let region: EngineRegion
    do throws(RegionError) {
      region = try EngineRegion(adopting: memory, hashKey: hashKey, release: LiveFile.unmap)
    } catch {
      LiveFile.unmap(memory)
      throw .region(error)
    }
    guard let words = LiveWords(in: region) else { throw .damagedWords }
    // A file in memory ends with the boot: where the kernel does not name its boots, that will do.
    let isThisBoot =
      words.bootID == .unknown && clocks.bootID == .unknown
      ? file.isInMemory : words.bootID.isSame(as: clocks.bootID)
    guard isThisBoot else { throw .otherBoot }
    guard let now = clocks.engine(offset: words.clockOffset) else { throw .damagedWords }
    let byteCount = region.layout.byteCount
    try storing { () throws(StoreError) in try file.complete(memory, byteCount: byteCount) }
    let engine =
      region.layout == RegionLayout(sizes)
      ? try resume(region, at: now, &report)
      : try resize(region, words, at: now, &file, &report)
    return (engine, words.clockOffset)
  }

  private func storing<Value: ~Copyable>(_ body: () throws(StoreError) -> Value) throws(Refusal)
    -> Value
  {
    do throws(StoreError) {
      return try body()
    } catch {
      throw .store(error)
    }
  }

  private func resume(
    _ region: consuming EngineRegion, at now: Instant, _ report: inout OpeningReport
  ) throws(Refusal) -> Engine {
    do throws(RegionError) {
      let engine = try Engine(sizes, in: region, at: now)
      if let recovery = engine.recovery { report.source = .live(recovery) }
      return engine
    } catch {
      throw .region(error)
    }
  }

  private func resize(
    _ region: consuming EngineRegion, _ words: LiveWords, at now: Instant, _ file: inout LiveFile,
    _ report: inout OpeningReport
  ) throws(Refusal) -> Engine {
    let byteCount = Engine.byteCount(sizes)
    let new = try storing { () throws(StoreError) in try file.make(byteCount: byteCount) }
    let engine = fresh(in: new.memory, LiveFile.unmap, words, at: now)
    do throws(RegionError) {
      let (found, dropped) = try engine.copyBuckets(from: region, at: now)
      report.source = .resized(found, dropped: dropped)
    } catch {
      throw .region(error)
    }
    do throws(StoreError) {
      try file.replace(by: new)
    } catch {
      throw .store(error)
    }
    return engine
  }

  private func refuse(
    _ refusal: Refusal, _ file: inout LiveFile, _ report: inout OpeningReport
  ) throws(StoreError) {
    var keptAs: String?
    if refusal.isWorthKeeping {
      keptAs = try file.putAside()
    } else {
      try file.clear()
    }
    report.findings.append(.liveStateRefused(file.path, why: refusal.why, keptAs: keptAs))
  }

  // MARK: A fresh region

  private func fresh(
    in memory: UnsafeMutableRawBufferPointer,
    _ release: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void, _ words: LiveWords,
    at now: Instant
  ) -> Engine {
    let region = EngineRegion(
      formatting: memory, for: sizes, hashKey: hashKey, at: now, release: release)
    words.store(in: region)
    // A fresh region has nothing to recover, and so nothing that its clock could be behind.
    guard let engine = try? Engine(sizes, in: region, at: now) else {
      fatalError("a fresh region is taken")
    }
    prepare(engine)
    return engine
  }

  /// An engine in fresh memory with what the newest snapshot has.
  private func restored(
    _ report: inout OpeningReport,
    in make: () throws(StoreError) -> (
      UnsafeMutableRawBufferPointer, @Sendable (UnsafeMutableRawBufferPointer) -> Void
    )
  ) throws(StoreError) -> (Engine, UInt64) {
    var refused: Set<String> = []
    // Ends because each further turn has one generation fewer to try.
    while true {
      let found = snapshots?.newest(
        hashKey: hashKey, except: refused, &report.findings, tellingEvery: 32 * bucketsPerTelling
      ) { progress(.reading(done: $0, of: $1)) }
      let dating = found.map { SnapshotDating($0.info, at: clocks) }
      let offset = dating?.clockOffset ?? 0
      let (memory, release) = try make()
      let words = LiveWords(bootID: clocks.bootID, clockOffset: offset)
      let now = Instant(nanoseconds: clocks.boot &+ offset)
      let engine = fresh(in: memory, release, words, at: now)
      guard let found, let dating else { return (engine, offset) }
      engine.setRules(found.info.rules)
      do throws(SnapshotError) {
        let restore = try SnapshotRestore(
          found, dating, into: engine, at: now, tellingEvery: bucketsPerTelling
        ) { progress(.restoring(done: $0, of: $1)) }
        report.source = .snapshot(path: found.path, restore)
        return (engine, offset)
      } catch {
        // It was read through a moment ago. Half of it would forgive the other half in silence.
        snapshots?.refuse(found.path, error, &report.findings)
        refused.insert(found.path)
      }
    }
  }
}
