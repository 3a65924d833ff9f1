// What the sessions of one event loop work with.

import LimitEngine

/// The engine and the rules in force. One thread uses it; its parts are read without counting
/// references, since a turn of the loop borrows them.
struct Workplace: ~Copyable {
  let engine: Engine
  /// Replaced by the loop between two turns.
  private(set) var rulebook: Rulebook
  /// The rulebook's, a step nearer to the query path.
  private(set) var policies: PolicySet
  let limits: SessionLimits
  /// Shown in the reply to hello.
  let daemonVersion: String

  init(engine: Engine, rulebook: Rulebook, limits: SessionLimits, daemonVersion: String) {
    self.engine = engine
    self.rulebook = rulebook
    policies = rulebook.policies
    self.limits = limits
    self.daemonVersion = daemonVersion
  }

  mutating func adopt(_ rulebook: Rulebook) {
    self.rulebook = rulebook
    policies = rulebook.policies
  }
}
