// What the admin interface asks of the rules that are set at run time. Closures, so that this part needs
// nothing of the catalog.

package import LimitAdminModel
package import LimitPolicy
package import LimitRuntime

/// Which part of the record of changes is asked for.
package struct AuditQuestion: Sendable {
  /// Only what is about this one.
  package var tenant: String?
  /// Only what has a lower number.
  package var before: Int?
  /// How many entries at most.
  package var most: Int
}

/// The rules that are set at run time. Its closures may be called on any thread; `change` tells what came
/// of it on any thread, once.
package struct RunTimeAccess: Sendable {
  /// What differs in what is set; empty where it was so already.
  package typealias Outcome = Result<[OverlayDifference], Problem>

  /// Makes a change: when it is told, it is on the disk and in force. With `isDryRun` it only says what
  /// that would be.
  package var change:
    @Sendable (
      _ change: OverlayChange, _ author: Peer, _ isDryRun: Bool,
      _ tell: @escaping AdminSource.Tell<Outcome>
    ) -> Void
  package var overlay: @Sendable () -> Overlay
  /// Makes buckets as if never used (`Runtime.reset`), and tells how many had been used. With `isDryRun` it
  /// only tells.
  package var reset:
    @Sendable (
      _ tenant: String, _ limit: String?, _ key: String?, _ isDryRun: Bool, _ author: Peer,
      _ tell: @escaping AdminSource.Tell<Int>
    ) -> Void
  /// The newest first.
  package var audit: @Sendable (AuditQuestion) throws(Problem) -> [AuditRecord]

  package init(
    change:
      @escaping @Sendable (
        OverlayChange, Peer, Bool, @escaping AdminSource.Tell<Outcome>
      ) -> Void,
    overlay: @escaping @Sendable () -> Overlay,
    reset:
      @escaping @Sendable (
        String, String?, String?, Bool, Peer, @escaping AdminSource.Tell<Int>
      ) -> Void,
    audit: @escaping @Sendable (AuditQuestion) throws(Problem) -> [AuditRecord]
  ) {
    self.change = change
    self.overlay = overlay
    self.reset = reset
    self.audit = audit
  }
}
