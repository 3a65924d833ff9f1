// All tests of the real daemon, one after another: each may take the whole machine.

import DaemonSupport
import Testing

/// The parent of every suite here. Suites within it run in turn, not side by side.
@Suite(.serialized) struct DaemonTests {}

extension Trait where Self == ConditionTrait {
  /// For tests with peers or daemons of other users.
  static var needsRoot: Self { .enabled(if: Host.isRoot, "only root may be other users") }
}
