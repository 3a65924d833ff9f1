// The tables of a policy set that grow with its tenants, and where a set that ends leaves them for the set
// after the next one, so that a change of one tenant copies nobody else's:
//
//     set 5 ends ─▶ TableStock ─▶ set 7, made from set 6: who changed in 5, 6 and 7 is written anew
//     (its rules are of 7's parity, and for all others say the same)
//
// Modes that are in force for everybody are of the set and not of its tenants: where one differs, all rules of
// its limit are gone through.
//
// Where set 5 was compiled, its former rules are those of whatever was before, and are written anew for all.
//
// Whoever makes a set writes them; from then on any thread reads them, until the set ends.

import Synchronization

/// A tenant that a policy set names.
struct NamedTenant: Fingerprinted {
  let fingerprint: Fingerprint
  let standing: Standing
  /// Of settings.
  let row: UInt32
}

/// Rules, rows of rule numbers, and the tenants that have them: (2 × 64 + 4) bytes per row and limit, 48 per
/// tenant. Whoever holds them last frees them.
struct PolicyTables {
  let rules: UnsafeMutablePointer<Rule>
  /// The same rules as they were in the set before, with the same numbers; `nil` where there was none.
  private(set) var formers: UnsafeMutablePointer<Rule>?
  /// Row-major: `width` rule numbers per row. Row 0: every limit as defined.
  let rows: UnsafeMutablePointer<UInt32>
  let width: Int
  private(set) var ruleCount: Int
  private(set) var rowCount: Int
  private let rowsMax: Int
  private let rulesMax: Int
  var tenants: FingerprintTable<NamedTenant>
  /// Of tenants without a name; `nil` where they are unknown.
  let anyRow: UInt32?
  /// The set (`PolicySet.number`) like which these tables are, or become when what they say of
  /// `outdated` is written anew; 0: none.
  private(set) var likeSet: UInt64 = 0
  private(set) var outdated = Parts()
  /// Whether `formers` are those of a set from which this one was not made by changing some tenants.
  private(set) var hasOtherFormers = false

  /// What differs between two sets.
  struct Parts {
    var tenants: Set<Fingerprint> = []
    /// Limits of which another mode is in force for everybody.
    var modes: Set<LimitIndex> = []

    func union(_ other: Parts) -> Parts {
      Parts(tenants: tenants.union(other.tenants), modes: modes.union(other.modes))
    }
  }

  /// Copies what was compiled.
  ///
  /// - Parameters:
  ///   - formers: as many as `rules`; `nil` where there was no set before.
  ///   - room: for so many further rows with rules of their own, and tenants, and some more.
  init(
    rules: [Rule], formers: [Rule]?, rows: [UInt32], rowCount: Int, width: Int,
    tenants: [NamedTenant], anyRow: UInt32?, room: Int
  ) {
    (ruleCount, self.rowCount) = (rules.count, rowCount)
    self.width = width
    self.anyRow = anyRow
    let room = room + 64 + tenants.count / 8
    rowsMax = rowCount + room
    let rulesMax = rules.count + room * width
    self.rulesMax = rulesMax
    self.rules = Self.copy(rules, capacity: rulesMax)
    self.formers = formers.map { Self.copy($0, capacity: rulesMax) }
    self.rows = Self.copy(rows, capacity: rowsMax * width)
    self.tenants = FingerprintTable(tenants, capacity: tenants.count + room)
    if let formers = self.formers { for number in rules.indices { pair(number, with: formers) } }
  }

  func deallocate() {
    rules.deallocate()
    formers?.deallocate()
    rows.deallocate()
    tenants.deallocate()
  }

  private static func copy<Element: BitwiseCopyable>(_ elements: [Element], capacity: Int)
    -> UnsafeMutablePointer<Element>
  {
    let memory = UnsafeMutableBufferPointer<Element>.allocate(
      capacity: max(1, elements.count, capacity))
    _ = memory.initialize(from: elements)
    return memory.baseAddress!
  }

  private func pair(_ number: Int, with formers: UnsafeMutablePointer<Rule>) {
    rules[number].counterpart = UnsafePointer(formers + number)
    formers[number].counterpart = UnsafePointer(rules + number)
  }

  /// The rule's place in `rules`.
  func ruleNumber(for limit: LimitIndex, ofRow row: UInt32) -> UInt32 {
    rows[Int(row) * width + Int(limit.rawValue)]
  }

  // MARK: Changing

  /// Whether so many tenants may be written.
  func hasRoom(for count: Int) -> Bool {
    rowCount + count <= rowsMax && tenants.hasRoom(for: count)
  }

  /// Adds a row of rules that nobody else has. O(limits).
  ///
  /// - Parameters:
  ///   - own: of every limit.
  ///   - before: the same as they were in the set before.
  /// - Precondition: there is room (`hasRoom`).
  mutating func addRow(_ own: [Rule], before: [Rule]) -> UInt32 {
    precondition(rowCount < rowsMax && own.count == width, "there is room for the row")
    guard let formers else { preconditionFailure("a set that is changed follows another") }
    for place in 0..<width {
      (rules + ruleCount).initialize(to: own[place])
      (formers + ruleCount).initialize(to: before[place])
      formers[ruleCount].isFormer = true
      pair(ruleCount, with: formers)
      (rows + rowCount * width + place).initialize(to: UInt32(ruleCount))
      ruleCount += 1
    }
    rowCount += 1
    return UInt32(rowCount - 1)
  }

  /// Notes what these tables are to be compared with: see `likeSet`.
  func noting(like set: UInt64, outdated: Parts, hasOtherFormers: Bool = false) -> PolicyTables {
    var tables = self
    (tables.likeSet, tables.outdated) = (set, outdated)
    tables.hasOtherFormers = hasOtherFormers
    return tables
  }

  /// Puts modes in force for everybody. O(rules), where there are such limits, at about a nanosecond each.
  ///
  /// - Parameters:
  ///   - before: those of the set before.
  ///   - limits: whose rules may have others as yet.
  func useModes(
    _ modes: [LimitIndex: LimitMode], after before: [LimitIndex: LimitMode],
    ofLimits limits: Set<LimitIndex>
  ) {
    guard !limits.isEmpty, let formers else { return }
    var isOne = [Bool](repeating: false, count: width)
    for limit in limits { isOne[Int(limit.rawValue)] = true }
    for number in 0..<ruleCount {
      let limit = rules[number].limit
      guard isOne[Int(limit.rawValue)] else { continue }
      rules[number].use(modes[limit])
      formers[number].use(before[limit])
    }
  }

  /// Makes each rule's former self the rule as it is, but for the parity. O(rules).
  ///
  /// - Parameter parity: of the set before.
  mutating func renewFormers(parity: UInt8) {
    let formers = self.formers ?? .allocate(capacity: max(1, rulesMax))
    for number in 0..<ruleCount {
      var former = rules[number]
      former.head = StateWord.head(of: former.algorithm, parity: parity)
      former.isFormer = true
      (formers + number).initialize(to: former)
      pair(number, with: formers)
    }
    self.formers = formers
    hasOtherFormers = false
  }
}

/// Holds tables that no set has, for the next one to be made. One for each line of sets that follow each
/// other.
final class TableStock: @unchecked Sendable {
  /// Tables in a box, or none. A set that ends puts its own here where none are (releasing: its last reader's
  /// reads and all writes are before); whoever makes sets takes them (acquiring, pairs with that). A box
  /// is one holder's only, who got it by an exchange that another cannot have made: so ABA does no harm.
  /// Each is one exchange, without a loop.
  private let box = Atomic<UnsafeMutablePointer<PolicyTables>?>(nil)

  deinit { take()?.deallocate() }

  /// Leaves tables here, or frees them where others are. Any thread.
  func put(_ tables: PolicyTables) {
    let new = UnsafeMutablePointer<PolicyTables>.allocate(capacity: 1)
    new.initialize(to: tables)
    // Releasing: see `box`; relaxed where it fails, since nothing is read then.
    let (isPut, _) = box.compareExchange(
      expected: nil, desired: new, successOrdering: .releasing, failureOrdering: .relaxed)
    if !isPut { Self.open(new).deallocate() }
  }

  /// Takes what is here. Any thread.
  func take() -> PolicyTables? {
    // Acquiring: see `box`.
    box.exchange(nil, ordering: .acquiring).map(Self.open)
  }

  private static func open(_ box: UnsafeMutablePointer<PolicyTables>) -> PolicyTables {
    defer { box.deallocate() }
    return box.move()
  }
}
