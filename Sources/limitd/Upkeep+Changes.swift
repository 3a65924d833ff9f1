// What is done for what is set at run time: changes are made to last, and put in force.

import LimitAdminModel
import LimitCatalog
import LimitPolicy
import LimitRuntime
import Logging
import Synchronization

extension Upkeep {
  func record(_ authors: [AuditAuthor], _ before: PolicyFile, _ after: PolicyFile) {
    for author in authors {
      rules.record(
        AuditEntry(
          at: WallTime.now, author: author, action: "reload",
          from: "rules \(String(before.sourceIdentity, radix: 16))",
          to: "rules \(String(after.sourceIdentity, radix: 16))"))
    }
  }

  /// Makes changes last, one after the other, and puts what they come to in force, once for all.
  func make(_ changes: [PendingChange]) {
    var file: PolicyFile?
    // Whom they are about; `nil`: whoever.
    var tenants: [String]? = []
    var made: [(PendingChange, [OverlayDifference])] = []
    for pending in changes {
      do throws(Problem) {
        let draft = try rules.draft(pending.change)
        guard !pending.isDryRun, !draft.differences.isEmpty else {
          pending.tell(.success(draft.differences))
          continue
        }
        try rules.keep(draft, by: pending.author)
        file = draft.file
        tenants = draft.tenants.flatMap { new in tenants.map { $0 + new } }
        made.append((pending, draft.differences))
      } catch {
        pending.tell(.failure(error))
      }
    }
    guard let file else { return }
    if tenants.map({ $0.count > RunTimeRules.fewTenants }) ?? false { tenants = nil }
    var isTold = false
    runtime.adopt(
      overlaid: file, changing: tenants, unless: { isAbandoned.load(ordering: .relaxed) },
      isInForce: { shortage in
        isTold = true
        Reloader.tell(shortage, log)
        tell(made)
      })
    if isTold { return }
    for (pending, _) in made { pending.tell(.failure(Self.theDaemonEnds)) }
  }

  /// Says of changes that they are in force, to the log, in events, and to who made them.
  private func tell(_ made: [(PendingChange, [OverlayDifference])]) {
    for (pending, differences) in made {
      log.notice(
        "changed at run time",
        metadata: [
          "what": "\(pending.change.name)", "differences": "\(differences.count)",
          "by": "\(pending.author.name)",
        ])
      tell(of: differences, pending)
      pending.tell(.success(differences))
    }
  }

  /// Differences of one change that are events of their own.
  private static let eventsMax = 64

  /// Adds an event for each tenant and limit that a change is about; where these are many, one for the rest.
  private func tell(of differences: [OverlayDifference], _ pending: PendingChange) {
    let policies = runtime.rulebook.policies
    var found = differences.prefix(Self.eventsMax).map { difference in
      var event: Event
      switch difference.subject {
      case .tenant(let name):
        event = Event(.tenantChanged, tenant: EventTenant(name, in: policies))
      case .limit(let name): event = Event(.limitChanged, limit: name)
      }
      (event.before, event.after) = (difference.before, difference.after)
      return event
    }
    if differences.count > Self.eventsMax {
      var rest = Event(.tenantChanged)
      rest.detail = "and \(differences.count - Self.eventsMax) more"
      found.append(rest)
    }
    events.add(
      found.map {
        var event = $0
        (event.action, event.author) = (pending.change.name, pending.author.name)
        return event
      })
  }

  private static var theDaemonEnds: Problem {
    Problem(
      status: 503, title: "The daemon ends",
      detail: "the change is kept, and in force from the next start on")
  }
}

/// A change of what is set at run time that waits for its turn.
struct PendingChange: Sendable {
  var change: OverlayChange
  var author: AuditAuthor
  /// Whether only to say what it would do.
  var isDryRun: Bool
  /// Told what differs, when it is on the disk and in force.
  var tell: @Sendable (Result<[OverlayDifference], Problem>) -> Void

  /// The end of the blocks whose time is over now.
  static var endOfBlocks: PendingChange {
    PendingChange(
      change: .endBlocks(at: WallTime.now), author: AuditAuthor(name: "time"), isDryRun: false,
      tell: { _ in })
  }
}
