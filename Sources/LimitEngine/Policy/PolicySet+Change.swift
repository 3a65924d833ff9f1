// A set that differs from the one in force in some tenants and modes only: made not from a builder but in tables
// that a set before left (PolicyTables), in which only these are written. Pure but for those.

/// What becomes of one tenant.
public struct TenantChange: Sendable {
  public struct Treatment: Sendable {
    public var standing: Standing
    /// Of every limit, by `LimitIndex`.
    public var settings: [LimitSettings]

    public init(standing: Standing, settings: [LimitSettings]) {
      self.standing = standing
      self.settings = settings
    }
  }

  public var name: String
  /// `nil`: it is not named any more.
  public var treatment: Treatment?

  public init(name: String, treatment: Treatment?) {
    self.name = name
    self.treatment = treatment
  }
}

extension PolicySet {
  /// A set to follow this one, which decides as one that is built anew would
  /// (`PolicySetBuilder.build(after:)`), where nothing but these tenants and modes differs.
  ///
  /// O(these tenants × limits + policies), and O(rules) where modes differ, where tables lie ready for it
  /// (`prepareChange`); else O(rows × limits + tenants), as building is, at some nanoseconds each. Only whoever makes the sets that follow this
  /// one may call it, one thread at a time.
  ///
  /// - Parameters:
  ///   - changes: of two of one tenant the later one counts.
  ///   - modes: all that are in force for everybody (`PolicySetBuilder.modes`).
  ///   - source: `PolicySetBuilder.source`.
  /// - Precondition: this set is in force, and everything written before it has been converted
  ///   (`Engine.convert`).
  public func changing(
    _ changes: [TenantChange], modes: [LimitIndex: LimitMode], source: UInt64
  ) -> PolicySet {
    for change in changes {
      precondition(
        change.treatment.map { $0.settings.count == limits.count } ?? true,
        "a tenant has settings of every limit")
    }
    return PolicySet(changes, modes: modes, source: source, after: self)
  }
}

/// A change's place in a list of changes.
struct NumberedChange: Fingerprinted {
  /// Of the tenant.
  let fingerprint: Fingerprint
  let number: Int
}

extension FingerprintTable<NumberedChange> {
  /// Changes by their tenants; of two of one tenant it has the later one.
  init(numbering changes: [TenantChange], by key: HashKey) {
    self.init(
      changes.enumerated().reversed().lazy.map { number, change in
        NumberedChange(fingerprint: key.fingerprint(of: change.name), number: number)
      }, capacity: changes.count)
  }
}

/// Writes, in the tables of the set that follows `previous`, what becomes of one tenant after the other.
struct RuleRevision {
  private let previous: PolicySet
  private let parity: UInt8
  private let modes: [LimitIndex: LimitMode]

  /// - Parameters:
  ///   - parity: of the set that follows.
  ///   - modes: that are in force for everybody there.
  init(of previous: PolicySet, parity: UInt8, _ modes: [LimitIndex: LimitMode]) {
    self.previous = previous
    self.parity = parity
    self.modes = modes
  }

  /// Writes of a tenant what the set before says.
  func keep(_ fingerprint: Fingerprint, in tables: inout PolicyTables) {
    guard let tenant = previous.named(fingerprint) else {
      tables.tenants.remove(fingerprint)
      return
    }
    let former = rules(ofRow: tenant.row)
    let row = tables.addRow(former.map(inForce), before: former)
    tables.tenants.set(
      NamedTenant(fingerprint: fingerprint, standing: tenant.standing, row: row))
  }

  /// Writes what becomes of a tenant.
  ///
  /// - Parameter treatment: `nil`: it is not named any more.
  /// - Returns: what is told of it then, where the set before named it.
  func write(
    _ fingerprint: Fingerprint, _ treatment: TenantChange.Treatment?, in tables: inout PolicyTables
  ) -> NamedTenant? {
    guard let treatment else {
      tables.tenants.remove(fingerprint)
      guard let tenant = previous.named(fingerprint) else { return nil }
      let any = rules(ofRow: previous.anyRow ?? 0)
      let row = tables.addRow(any.map(inForce), before: rules(ofRow: tenant.row))
      return NamedTenant(
        fingerprint: fingerprint, standing: previous.anyTenant?.standing ?? .unknown, row: row)
    }
    let former = rules(ofRow: previous.lastingRow(of: fingerprint))
    let own = former.enumerated().map { place, rule in
      var rule = Rule(
        limit: rule.limit, definition: previous.limits[place],
        settings: treatment.settings[place], seed: rule.seed, parity: parity)
      rule.use(modes[rule.limit])
      return rule
    }
    let row = tables.addRow(own, before: former)
    tables.tenants.set(
      NamedTenant(fingerprint: fingerprint, standing: treatment.standing, row: row))
    return nil
  }

  /// The rules of a row of the set before, of every limit.
  private func rules(ofRow row: UInt32) -> [Rule] {
    previous.limits.indices.map {
      previous.newestRule(for: LimitIndex(UInt16($0)), ofRow: row).pointee
    }
  }

  /// A rule of the set before, with the parity of the one that follows.
  private func inForce(_ rule: Rule) -> Rule {
    var rule = rule
    rule.head = StateWord.head(of: rule.algorithm, parity: parity)
    return rule
  }

  // MARK: All tenants

  /// Tables for the set that follows, which say of all what `previous` says: rules and rows are copied and
  /// numbered anew, without a look at what they were made from. Those that nobody has any more stay
  /// behind. O(rows × limits + tenants), at some nanoseconds each.
  ///
  /// - Parameter room: for so many changes, and some more.
  static func copy(of previous: PolicySet, room: Int) -> PolicyTables {
    let revision = RuleRevision(
      of: previous, parity: UInt8((previous.generation &+ 1) & 1), previous.modes)
    var copy = RuleCopy(of: previous, revision)
    // First, so that it is row 0 again.
    _ = copy.row(0)
    let anyRow = previous.anyRow.map { copy.row($0) }
    var tenants: [NamedTenant] = []
    tenants.reserveCapacity(previous.namedTenantCount)
    previous.forEachNamedTenant { tenant in
      tenants.append(
        NamedTenant(
          fingerprint: tenant.fingerprint, standing: tenant.standing, row: copy.row(tenant.row)))
    }
    return PolicyTables(
      rules: copy.rules, formers: copy.formers, rows: copy.rows, rowCount: Int(copy.rowCount),
      width: previous.limits.count, tenants: tenants, anyRow: anyRow, room: 3 * room)
  }

  /// Numbers the rules and rows that are still used.
  private struct RuleCopy {
    private(set) var rules: [Rule] = []
    private(set) var formers: [Rule] = []
    /// Row-major.
    private(set) var rows: [UInt32] = []
    private(set) var rowCount: UInt32 = 0
    /// By number in the set before; `none` where it is not used as yet.
    private var ruleNumbers: [UInt32]
    private var rowNumbers: [UInt32]
    private let previous: PolicySet
    private let revision: RuleRevision

    private static let none = UInt32.max

    init(of previous: PolicySet, _ revision: RuleRevision) {
      self.previous = previous
      self.revision = revision
      ruleNumbers = Array(repeating: Self.none, count: previous.ruleCount)
      rowNumbers = Array(repeating: Self.none, count: previous.rowCount)
      rules.reserveCapacity(previous.ruleCount)
      formers.reserveCapacity(previous.ruleCount)
      rows.reserveCapacity(previous.rowCount * previous.limits.count)
    }

    /// The number of a row of the set before.
    mutating func row(_ row: UInt32) -> UInt32 {
      if rowNumbers[Int(row)] != Self.none { return rowNumbers[Int(row)] }
      for place in previous.limits.indices {
        rows.append(rule(for: LimitIndex(UInt16(place)), ofRow: row))
      }
      rowNumbers[Int(row)] = rowCount
      rowCount += 1
      return rowCount - 1
    }

    private mutating func rule(for limit: LimitIndex, ofRow row: UInt32) -> UInt32 {
      let number = Int(previous.ruleNumber(for: limit, ofRow: row))
      if ruleNumbers[number] != Self.none { return ruleNumbers[number] }
      var former = previous.newestRule(for: limit, ofRow: row).pointee
      ruleNumbers[number] = UInt32(rules.count)
      rules.append(revision.inForce(former))
      former.isFormer = true
      formers.append(former)
      return ruleNumbers[number]
    }
  }
}
