// The rules that a daemon starts with, over whatever the last one left: what was written by its rules
// is read by them, and converted to those of the file as a reload would. One thread, at start.

package import LimitEngine
package import LimitPolicy

/// What became of the rules that the state was left under.
package struct GoingOn: Sendable {
  package enum Former: Sendable {
    /// There was no state.
    case none
    case same
    case changed
    /// Their file is not kept, or is damaged: each bucket keeps the time or the count that it says, as
    /// far as the rules of the file hold it.
    case unknown
  }

  package var former: Former
  package var count = ConversionCount()
  /// Whether the last process ended while rules changed.
  package var wasChanging = false
}

extension Engine {
  /// Puts the rules of a file in force over the state that this engine has. A change amid which the last
  /// process ended is finished first. O(file), and O(slots) where the rules changed.
  ///
  /// Only before any thread decides.
  ///
  /// - Parameters:
  ///   - kept: the file with this `PolicyFile.sourceIdentity`, if it can be had.
  ///   - keep: keeps `file` for the next start.
  ///   - now: the engine's clock.
  /// - Throws: a user or group that this host does not have.
  package func goOn(
    under file: PolicyFile, hashKey: HashKey, at now: Instant, kept: (UInt64) -> PolicyFile?,
    keep: () -> Void
  ) throws(UnknownNameError) -> (Rulebook, GoingOn) {
    let rules = rules
    func find(_ source: UInt64?) -> PolicyFile? {
      guard let source, source != 0 else { return nil }
      return source == file.sourceIdentity ? file : kept(source)
    }
    if rules == RulesInForce(), Scope.allCases.allSatisfy({ occupancy($0).live == 0 }) {
      keep()
      let rulebook = try Rulebook(file, hashKey: hashKey)
      begin(under: rulebook.policies)
      return (rulebook, GoingOn(former: .none))
    }
    var report = GoingOn(former: .same, wasChanging: rules.isChanging)
    let present = find(rules.source)
    var current = present?.compile(hashKey: hashKey, generation: rules.generation)
    if rules.isChanging {
      let before = rules.generation &- 1
      let former = find(rules.formerSource).map {
        $0.compile(hashKey: hashKey, generation: before)
      }
      let set =
        former.flatMap { present?.compile(after: $0) }
        ?? (present ?? file).compile(hashKey: hashKey, afterUnknown: before)
      if present != nil { current = set }
      resume(set)
      report.count += convert(under: set, at: now)
    }
    keep()
    if let current, rules.source == file.sourceIdentity {
      resume(current)
      return (try Rulebook(file, current), report)
    }
    report.former = current == nil ? .unknown : .changed
    let next =
      current.map { file.compile(after: $0) }
      ?? file.compile(hashKey: hashKey, afterUnknown: rules.generation)
    putInForce(next, at: now)
    report.count += convert(under: next, at: now)
    return (try Rulebook(file, next), report)
  }
}
