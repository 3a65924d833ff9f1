// What the sessions of one event loop work with.

import LimitEngine

/// The engine, the rules in force, and scratch memory. One thread uses it.
struct Workplace: ~Copyable {
  let engine: Engine
  /// Replaced by the loop between two turns.
  var rulebook: Rulebook
  let limits: SessionLimits
  /// Shown in the reply to hello.
  let daemonVersion: String
  var group = QueryGroup()
  /// Queries decided on this loop so far.
  var decisionCount: UInt64 = 0

  init(engine: Engine, rulebook: Rulebook, limits: SessionLimits, daemonVersion: String) {
    self.engine = engine
    self.rulebook = rulebook
    self.limits = limits
    self.daemonVersion = daemonVersion
  }
}
