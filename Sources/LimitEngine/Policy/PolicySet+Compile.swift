// From what a builder collected to the tables that decisions read. O(rows × limits + tenants).

extension PolicySetBuilder {
  /// Compiles what was collected. O(rows × limits + tenants).
  ///
  /// - Parameters:
  ///   - hashKey: the installation's secret; the same key finds the same buckets.
  ///   - generation: of the rules that the buckets were written by, where they outlived a process
  ///     (`Engine.rules`).
  public consuming func build(hashKey: HashKey, generation: UInt32 = 0) -> PolicySet {
    PolicySet(self, hashKey: hashKey, after: .none, generation: generation)
  }

  /// Compiles what was collected to follow `previous`, whose rules it decides by until it is put in
  /// force (`Engine.putInForce`).
  ///
  /// - Precondition: `previous` is in force, and everything written before it has been converted
  ///   (`Engine.convert`).
  public consuming func build(after previous: PolicySet) -> PolicySet {
    PolicySet(
      self, hashKey: previous.hashKey, after: .set(previous), generation: previous.generation &+ 1)
  }

  /// Compiles what was collected to follow rules of which only the generation is known.
  ///
  /// What was written by them keeps its time or its count, so far as the new rules hold it: nobody
  /// waits for longer than a new bucket takes to fill, or than two new windows.
  /// - Precondition: nobody decides by the set before it is put in force.
  public consuming func build(hashKey: HashKey, afterUnknown generation: UInt32) -> PolicySet {
    PolicySet(self, hashKey: hashKey, after: .unknown, generation: generation &+ 1)
  }
}

/// The rules that a set follows.
enum Predecessor {
  /// There are none.
  case none
  /// The set in force so far, of the same hash key.
  case set(PolicySet)
  case unknown

  var set: PolicySet? { if case .set(let set) = self { set } else { nil } }
}

/// Lays out rules, each distinct one once, and rows of rule numbers.
///
/// A row is one of the builder's, together with the row of the set before that its tenants had: what
/// a tenant has used is converted from the rules that it was used under.
struct RuleCompiler {
  /// What a limit's buckets were decided by.
  private struct Former: Hashable {
    var capacity: UInt64
    var period: UInt64
    var softRemaining: UInt64
    var hasSoftThreshold: Bool
    var mode: LimitMode
  }

  private struct Draft: Hashable {
    let limit: LimitIndex
    let settings: LimitSettings
  }

  private struct Identity: Hashable {
    let draft: Int
    let former: Former?
  }

  private struct RowPair: Hashable {
    let row: Int
    let previous: UInt32?
  }

  private let limits: [LimitDefinition]
  private let seeds: [Fingerprint]
  private let previous: PolicySet?
  private let predecessor: Predecessor
  /// Per limit, its place in the set before, where it is the same limit.
  private let previousLimits: [LimitIndex?]
  private let parity: UInt8
  private let modes: [LimitIndex: LimitMode]
  private var drafts: [Draft] = []
  private var draftNumbers: [Draft: Int] = [:]
  /// Row-major, of the builder's rows: numbers of drafts.
  private var draftRows: [Int] = []
  private var pairs: [RowPair] = []
  private var pairNumbers: [RowPair: UInt32] = [:]

  init(
    _ builder: borrowing PolicySetBuilder, hashKey: HashKey, after predecessor: Predecessor,
    generation: UInt32
  ) {
    let previous = predecessor.set
    self.predecessor = predecessor
    let limits = builder.limits
    let seeds = limits.map { limit in
      hashKey.fingerprint(of: "\(limit.settings.parameters.algorithm.rawValue)\(limit.name)")
    }
    self.limits = limits
    self.seeds = seeds
    self.previous = previous
    previousLimits = limits.indices.map { place in
      guard let previous, let index = previous.limit(withSeed: seeds[place]),
        previous.limits[Int(index.rawValue)].scope == limits[place].scope
      else { return nil }
      return index
    }
    parity = UInt8(generation & 1)
    modes = builder.modes
    for (place, limit) in limits.enumerated() {
      draftRows.append(draft(LimitIndex(UInt16(place)), limit.settings))
    }
    for row in builder.rows {
      let start = draftRows.count
      // One by one: a slice would share the array's memory, and appending to it copy all rows.
      for place in limits.indices {
        draftRows.append(draftRows[row.basedOn * limits.count + place])
      }
      for (limit, settings) in row.overrides {
        draftRows[start + Int(limit.rawValue)] = draft(limit, settings)
      }
    }
    // Row 0: every limit as defined.
    _ = self.row(.base, after: previous == nil ? nil : 0)
  }

  private mutating func draft(_ limit: LimitIndex, _ settings: LimitSettings) -> Int {
    let draft = Draft(limit: limit, settings: settings)
    if let known = draftNumbers[draft] { return known }
    drafts.append(draft)
    draftNumbers[draft] = drafts.count - 1
    return drafts.count - 1
  }

  /// The number of a row for tenants that had row `previous` in the set before.
  mutating func row(_ row: PolicySetBuilder.Row, after previous: UInt32?) -> UInt32 {
    let pair = RowPair(row: row.index, previous: previous)
    if let known = pairNumbers[pair] { return known }
    pairs.append(pair)
    pairNumbers[pair] = UInt32(pairs.count - 1)
    return UInt32(pairs.count - 1)
  }

  /// Limits that the set before does not have, or has with another scope; none where it is not known.
  var freshLimits: Set<LimitIndex> {
    guard previous != nil else { return [] }
    return Set(
      limits.indices.lazy.filter { previousLimits[$0] == nil }.map { LimitIndex(UInt16($0)) })
  }

  /// The tables, with as many `formers` as `rules`, or `nil` where there was no set before.
  mutating func compile() -> (rules: [Rule], formers: [Rule]?, rows: [UInt32], rowCount: Int) {
    var numbers: [Identity: UInt32] = [:]
    var identities: [Identity] = []
    var rows: [UInt32] = []
    rows.reserveCapacity(pairs.count * limits.count)
    for pair in pairs {
      for place in limits.indices {
        let draft = draftRows[pair.row * limits.count + place]
        let identity = Identity(draft: draft, former: former(place, draft, pair.previous))
        if let known = numbers[identity] {
          rows.append(known)
        } else {
          numbers[identity] = UInt32(identities.count)
          rows.append(UInt32(identities.count))
          identities.append(identity)
        }
      }
    }
    let rules = identities.map { rule(drafts[$0.draft]) }
    if case .none = predecessor { return (rules, nil, rows, pairs.count) }
    let formers = identities.map { rule(drafts[$0.draft], before: $0.former) }
    return (rules, formers, rows, pairs.count)
  }

  private func former(_ place: Int, _ draft: Int, _ row: UInt32?) -> Former? {
    if case .unknown = predecessor { return unknownFormer(rule(drafts[draft])) }
    guard let previous, let row, let limit = previousLimits[place] else { return nil }
    let rule = previous.newestRule(for: limit, ofRow: row)
    return Former(
      capacity: rule.pointee.capacity, period: rule.pointee.period,
      softRemaining: rule.pointee.softRemaining, hasSoftThreshold: rule.pointee.hasSoftThreshold,
      mode: rule.pointee.mode)
  }

  /// A rule from which conversion keeps what a word says by itself: a debt as time, and all of it as
  /// taken by queries; a window's count until its expiry.
  private func unknownFormer(_ rule: Rule) -> Former {
    let isWindow = rule.algorithm == .slidingWindow
    return Former(
      capacity: isWindow ? StateWord.countMax : StateWord.debtMax / rule.period + 1,
      period: isWindow ? 1 : rule.period, softRemaining: rule.softRemaining,
      hasSoftThreshold: rule.hasSoftThreshold, mode: rule.mode)
  }

  private func rule(_ draft: Draft) -> Rule {
    let place = Int(draft.limit.rawValue)
    var rule = Rule(
      limit: draft.limit, definition: limits[place], settings: draft.settings, seed: seeds[place],
      parity: parity)
    rule.use(modes[draft.limit])
    return rule
  }

  /// The rule as it was; where there was none, as it will be.
  private func rule(_ draft: Draft, before former: Former?) -> Rule {
    var rule = rule(draft)
    rule.head = StateWord.head(of: rule.algorithm, parity: parity ^ 1)
    rule.isFormer = true
    if let former {
      rule.capacity = former.capacity
      rule.divisor = FastDivisor(former.period)
      rule.softRemaining = former.softRemaining
      rule.hasSoftThreshold = former.hasSoftThreshold
      rule.mode = former.mode
    }
    return rule
  }
}

extension PolicySet {
  /// The limit with this seed: of the same name and algorithm.
  func limit(withSeed seed: Fingerprint) -> LimitIndex? {
    limits.indices.lazy.map { LimitIndex(UInt16($0)) }
      .first { newestRule(for: $0, ofRow: 0).pointee.seed == seed }
  }

  /// The elements in memory of their own, which the caller frees.
  static func copy<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafeMutablePointer<Element>
  {
    let memory = UnsafeMutableBufferPointer<Element>.allocate(capacity: max(1, elements.count))
    _ = memory.initialize(from: elements)
    return memory.baseAddress!
  }

  static func compilePolicies(
    _ builder: borrowing PolicySetBuilder, tagKey: HashKey, secretKey: HashKey
  ) -> (UnsafeMutablePointer<PolicyEntry>, UnsafeMutablePointer<PolicyRange>) {
    var entries: [PolicyEntry] = []
    var ranges: [PolicyRange] = []
    for (_, list) in builder.policies {
      let units = list.map { builder.limits[Int($0.rawValue)].unit }
      let isMixed = units.contains { $0 != LimitDefinition.requests }
      let identities = list.map { number in
        let limit = builder.limits[Int(number.rawValue)]
        let algorithm = limit.settings.parameters.algorithm.rawValue
        return "\(algorithm) \(limit.scope.rawValue) \(limit.name) \(limit.unit)"
      }
      let identity = tagKey.fingerprint(of: identities.joined(separator: "\n"))
      let secret = secretKey.fingerprint(of: identities.joined(separator: "\n"))
      ranges.append(
        PolicyRange(
          start: UInt32(entries.count), count: UInt32(list.count),
          tag: UInt32(truncatingIfNeeded: identity.low), secret: secret))
      for (limit, unit) in zip(list, units) {
        entries.append(
          PolicyEntry(limit: limit, countsQueries: isMixed && unit == LimitDefinition.requests))
      }
    }
    return (copy(entries), copy(ranges))
  }
}
