// A set that differs from the one in force in some tenants only, made from that one's tables and not from
// a builder: rules and rows are copied and numbered anew, without a look at what they were made from. Those
// that nobody has any more stay behind, so a thousand changes leave no more than one. Pure.

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
  /// (`PolicySetBuilder.build(after:)`), where nothing but these tenants differs.
  ///
  /// O(rows × limits + tenants), as building is, at some nanoseconds each.
  ///
  /// - Parameters:
  ///   - changes: of two of one tenant the later one counts.
  ///   - source: `PolicySetBuilder.source`.
  /// - Precondition: this set is in force, and everything written before it has been converted
  ///   (`Engine.convert`).
  public func changing(_ changes: [TenantChange], source: UInt64) -> PolicySet {
    for change in changes {
      precondition(
        change.treatment.map { $0.settings.count == limits.count } ?? true,
        "a tenant has settings of every limit")
    }
    return PolicySet(changes, source: source, after: self)
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
      }, count: changes.count)
  }
}

/// Numbers the rules and rows that are still used, and adds others.
struct RuleRevision {
  private(set) var rules: [Rule] = []
  private(set) var rowCount = 0
  private let previous: PolicySet
  private let parity: UInt8
  /// Rules as they were, with the numbers that they have in `rules`.
  private var formers: [Rule] = []
  /// Row-major.
  private var rows: [UInt32] = []
  /// By number in the set before; `none` where it is not used as yet.
  private var ruleNumbers: [UInt32]
  private var rowNumbers: [UInt32]

  private static let none = UInt32.max

  /// Begins with row 0, every limit as defined.
  init(of previous: PolicySet, parity: UInt8) {
    self.previous = previous
    self.parity = parity
    ruleNumbers = Array(repeating: Self.none, count: previous.ruleCount)
    rowNumbers = Array(repeating: Self.none, count: previous.rowCount)
    rules.reserveCapacity(previous.ruleCount)
    formers.reserveCapacity(previous.ruleCount)
    rows.reserveCapacity(previous.rowCount * previous.limits.count)
    _ = keep(row: 0)
  }

  /// The number of a row of the set before.
  mutating func keep(row: UInt32) -> UInt32 {
    if rowNumbers[Int(row)] != Self.none { return rowNumbers[Int(row)] }
    for place in previous.limits.indices { keepRule(at: place, ofRow: row) }
    rowNumbers[Int(row)] = addRow()
    return rowNumbers[Int(row)]
  }

  /// The number of a row with these settings for a tenant that had `row` in the set before.
  mutating func row(of settings: [LimitSettings], after row: UInt32) -> UInt32 {
    let wanted = previous.limits.indices.map { place in
      let limit = LimitIndex(UInt16(place))
      return Rule(
        limit: limit, definition: previous.limits[place], settings: settings[place],
        seed: previous.newestRule(for: limit, ofRow: row).pointee.seed, parity: parity)
    }
    return self.row(of: wanted, after: row)
  }

  /// The number of a row with the settings that `other` had in the set before.
  mutating func row(like other: UInt32, after row: UInt32) -> UInt32 {
    let wanted = previous.limits.indices.map {
      inForce(previous.newestRule(for: LimitIndex(UInt16($0)), ofRow: other).pointee)
    }
    return self.row(of: wanted, after: row)
  }

  private mutating func row(of wanted: [Rule], after row: UInt32) -> UInt32 {
    let olds = previous.limits.indices.map {
      previous.newestRule(for: LimitIndex(UInt16($0)), ofRow: row).pointee
    }
    let isSame = zip(wanted, olds).map { $0.hasSameSettings(as: $1) }
    if !isSame.contains(false) { return keep(row: row) }
    for place in previous.limits.indices {
      if isSame[place] {
        keepRule(at: place, ofRow: row)
      } else {
        rows.append(add(wanted[place], after: olds[place]))
      }
    }
    return addRow()
  }

  private mutating func addRow() -> UInt32 {
    rowCount += 1
    return UInt32(rowCount - 1)
  }

  private mutating func keepRule(at place: Int, ofRow row: UInt32) {
    let number = Int(previous.ruleNumber(for: LimitIndex(UInt16(place)), ofRow: row))
    if ruleNumbers[number] == Self.none {
      let rule = previous.rules[number]
      ruleNumbers[number] = add(inForce(rule), after: rule)
    }
    rows.append(ruleNumbers[number])
  }

  /// A rule of the set before, with the parity of this one.
  private func inForce(_ rule: Rule) -> Rule {
    var rule = rule
    rule.head = StateWord.head(of: rule.algorithm, parity: parity)
    return rule
  }

  private mutating func add(_ rule: Rule, after former: Rule) -> UInt32 {
    var former = former
    former.isFormer = true
    rules.append(rule)
    formers.append(former)
    return UInt32(rules.count - 1)
  }

  /// The tables, which the caller frees.
  func tables() -> (
    rules: UnsafeMutablePointer<Rule>, formers: UnsafeMutablePointer<Rule>,
    rows: UnsafeMutablePointer<UInt32>
  ) {
    let (rules, formers) = (PolicySet.copy(rules), PolicySet.copy(formers))
    for number in self.rules.indices {
      rules[number].counterpart = UnsafePointer(formers + number)
      formers[number].counterpart = UnsafePointer(rules + number)
    }
    return (rules, formers, PolicySet.copy(rows))
  }
}

extension Rule {
  /// Whether both of one limit's rules decide alike.
  func hasSameSettings(as other: Rule) -> Bool {
    capacity == other.capacity && period == other.period && softRemaining == other.softRemaining
      && hasSoftThreshold == other.hasSoftThreshold && mode == other.mode
  }
}
