// The rules in force as their two parts: the policy file, and what is set at run time over it, with the
// catalog that keeps it. The threads for upkeep and for changes change them, in turn; any thread may read.

import Glibc
import LimitAdmin
import LimitAdminModel
import LimitCatalog
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitSystem
import Logging
import Synchronization

/// The policy file and what is set over it.
final class RunTimeRules: Sendable {
  private struct State {
    var base: PolicyFile
    var overlay: Overlay
    /// What both come to.
    var laid: PolicyFile
    /// What is set and does not fit the file.
    var problems: [OverlayProblem]
  }

  /// A change that could be made.
  struct Draft {
    let change: OverlayChange
    let overlay: Overlay
    let file: PolicyFile
    let differences: [OverlayDifference]
    /// The tenants that it is about, where these are few; `nil`: whoever.
    let tenants: [String]?
    fileprivate let problems: [OverlayProblem]
  }

  private let catalog: Catalog?
  /// Why there is none.
  private let trouble: String
  private let state: Locked<State>
  /// When the next block ends, in seconds since 1970. Relaxed: publishes nothing but itself.
  private let nextEnd: Atomic<UInt64>
  private let log: Logger

  /// Opens the catalog.
  ///
  /// - Parameters:
  ///   - base: the policy file.
  ///   - isTrace: whether clients set the clock: then nothing is kept.
  /// - Returns: itself, and the rules to begin with.
  static func open(_ base: PolicyFile, isTrace: Bool, _ log: Logger) -> (RunTimeRules, PolicyFile) {
    guard !isTrace else {
      return (RunTimeRules(base, nil, Overlay(), "with --trace-clock nothing is kept", log), base)
    }
    let directory = base.daemon.stateDirectory
    var opening = Catalog.open(in: directory)
    tell(opening, directory, log)
    if let catalog = opening.catalog {
      // Blocks that ended while nobody served.
      let now = WallTime.now
      let change = OverlayChange.endBlocks(at: now)
      let ended = opening.overlay.apply(change)
      if !ended.isEmpty {
        do throws(CatalogError) {
          try catalog.store(
            ended, of: opening.overlay, by: AuditAuthor(name: "time"), as: change.name, at: now)
        } catch {
          log.error("the catalog cannot be written", metadata: ["error": "\(error)"])
        }
      }
    }
    let rules = RunTimeRules(
      base, opening.catalog, opening.overlay, opening.trouble ?? "", log)
    let (file, problems) = base.overlaid(by: opening.overlay)
    rules.replaceBase(by: base, file, problems)
    return (rules, file)
  }

  private init(
    _ base: PolicyFile, _ catalog: Catalog?, _ overlay: Overlay, _ trouble: String, _ log: Logger
  ) {
    self.catalog = catalog
    self.trouble = trouble
    self.log = log
    state = Locked(State(base: base, overlay: overlay, laid: base, problems: []))
    nextEnd = Atomic(overlay.nextEnd ?? .max)
  }

  // MARK: Reading

  /// What is set at run time.
  var overlay: Overlay { state.withLock { $0.overlay } }

  /// Whether a block's time is over.
  var isEndDue: Bool { nextEnd.load(ordering: .relaxed) <= WallTime.now }

  /// A policy file with what is set laid over it.
  func laid(over base: PolicyFile) -> (file: PolicyFile, problems: [OverlayProblem]) {
    base.overlaid(by: overlay)
  }

  func audit(_ asked: AuditQuestion) throws(Problem) -> [AuditEntry] {
    guard let catalog else { throw noCatalog }
    do throws(CatalogError) {
      return try catalog.audit(
        tenant: asked.tenant, before: asked.before.map { Int64($0) }, atMost: asked.most)
    } catch {
      throw Problem(
        status: 503, title: "The catalog cannot be read", detail: error.description)
    }
  }

  // MARK: Changing

  /// Another policy file is in force.
  ///
  /// - Parameter laid: the file with what is set laid over it.
  func replaceBase(by base: PolicyFile, _ laid: PolicyFile, _ problems: [OverlayProblem]) {
    state.withLock { ($0.base, $0.laid, $0.problems) = (base, laid, problems) }
    tell(problems)
  }

  /// More tenants than this in one change, and all are looked at.
  static let fewTenants = 1_000

  /// What a change would come to. O(what is set).
  ///
  /// - Throws: why it cannot be made.
  func draft(_ change: OverlayChange) throws(Problem) -> Draft {
    guard catalog != nil else { throw noCatalog }
    if let fault = change.fault {
      throw Problem(status: 400, title: "Bad request", detail: fault)
    }
    let state = self.state.withLock { $0 }
    var overlay = state.overlay
    let differences = overlay.apply(change)
    guard overlay.tenantCount <= PolicyFile.overlaidTenantsMax else {
      throw Problem(
        status: 422, title: "Too much is set at run time",
        detail: "something may be set for at most \(PolicyFile.overlaidTenantsMax) tenants; "
          + "write what is to last into the policy file")
    }
    let tenants = Self.few(differences)
    let (file, problems) = Self.lay(overlay, tenants, state)
    // What did not fit before may stay: it is not this change's.
    let known = Set(state.problems)
    let new = problems.filter { !known.contains($0) }
    guard new.isEmpty else {
      throw Problem(
        status: 422, title: "This does not fit the policy file",
        detail: new.prefix(20).map(\.message).joined(separator: "\n"))
    }
    return Draft(
      change: change, overlay: overlay, file: file, differences: differences, tenants: tenants,
      problems: problems)
  }

  /// The tenants that differ; `nil` where it is more than a few.
  private static func few(_ differences: [OverlayDifference]) -> [String]? {
    let names = differences.compactMap(\.tenant)
    return names.count <= fewTenants ? names : nil
  }

  private static func lay(_ overlay: Overlay, _ tenants: [String]?, _ state: State)
    -> (file: PolicyFile, problems: [OverlayProblem])
  {
    guard let tenants else { return state.base.overlaid(by: overlay) }
    let (file, problems) = state.base.overlaid(by: overlay, changing: tenants, in: state.laid)
    let changed = Set(tenants.map(NameBytes.init))
    let others = state.problems.filter { problem in
      problem.subject.tenant.map { !changed.contains(NameBytes($0)) } ?? false
    }
    return (file, others + problems)
  }

  /// Makes a change last. When this returns, it is on the disk; putting it in force is the caller's.
  ///
  /// - Throws: where it is not kept. Nothing has changed then.
  func keep(_ draft: Draft, by author: AuditAuthor) throws(Problem) {
    guard let catalog else { throw noCatalog }
    do throws(CatalogError) {
      try catalog.store(
        draft.differences, of: draft.overlay, by: author, as: draft.change.name, at: WallTime.now)
    } catch {
      guard case .endBlocks = draft.change else {
        log.error("a change is not kept", metadata: ["error": "\(error)"])
        throw Problem(
          status: 503, title: "The catalog cannot be written",
          detail: "\(error); nothing has changed")
      }
      // The block's end is kept with it, so the next start finds it over.
      log.error("the catalog cannot be written", metadata: ["error": "\(error)"])
    }
    state.withLock {
      ($0.overlay, $0.laid, $0.problems) = (draft.overlay, draft.file, draft.problems)
    }
    nextEnd.store(draft.overlay.nextEnd ?? .max, ordering: .relaxed)
  }

  /// Records what was done and changed nothing here.
  func record(_ entry: AuditEntry) {
    do throws(CatalogError) {
      try catalog?.record(entry)
    } catch {
      log.error("the record of changes cannot be written", metadata: ["error": "\(error)"])
    }
  }

  private var noCatalog: Problem {
    Problem(
      status: 503, title: "There is no catalog",
      detail: "nothing can be set at run time: \(trouble)")
  }

  // MARK: The log

  private static func tell(_ opening: CatalogOpening, _ directory: String, _ log: Logger) {
    if let (why, kept) = opening.refused {
      log.error(
        "the catalog is not used; what was set at run time is not in force",
        metadata: ["why": "\(why)", "kept": "\(kept)"])
    } else if opening.isMissing {
      log.error(
        "the catalog is missing; what was set at run time is not in force",
        metadata: ["path": "\(directory)/\(Catalog.fileName)"])
    }
    if let trouble = opening.trouble {
      log.error(
        "there is no catalog; nothing can be set at run time", metadata: ["why": "\(trouble)"])
    }
  }

  private func tell(_ problems: [OverlayProblem]) {
    for problem in problems.prefix(Reloader.warningsMax) {
      log.warning(
        "what is set at run time does not fit the policy file, and is not in force",
        metadata: ["warning": "\(problem)"])
    }
    if problems.count > Reloader.warningsMax {
      log.warning(
        "further things that do not fit",
        metadata: ["count": "\(problems.count - Reloader.warningsMax)"])
    }
  }
}
