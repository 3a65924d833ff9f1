// What a state that was written by former rules means under the rules in force: units stay units.
//
// A TAT counts time and a window's word a window, so both mean something only together with the
// interval or length that they were written by. A conversion is a function of the word, the two rules
// and the instant at which the rules changed, not of when or by whom it is made: so a denial, which
// writes nothing, and a later look say the same, and its wait is true. Rounded against the caller, by
// less than a nanosecond. Pure functions; any thread.

/// From former rules to those in force.
enum Conversion {
  /// A debt, in ns, that was `debt` when the rules changed.
  ///
  /// What lies within the former bucket's full period is what queries took: as many units, but no more
  /// than the bucket now holds, so that nobody waits longer than it takes to fill. What lies beyond it
  /// only settling can have booked, and is kept.
  static func debt(_ debt: UInt64, from former: Rule, to rule: Rule) -> UInt64 {
    let (formerTolerance, tolerance) = (
      former.capacity * former.period, rule.capacity * rule.period
    )
    let taken = min(debt, formerTolerance)
    let kept = min(scale(taken, former.period, rule.period), tolerance)
    let booked = scale(debt - taken, former.period, rule.period)
    return kept + min(booked, StateWord.debtMax - kept)
  }

  /// ceil(time × to / from), at most `debtMax`.
  private static func scale(_ time: UInt64, _ from: UInt64, _ to: UInt64) -> UInt64 {
    let product = time.multipliedFullWidth(by: to)
    guard product.high < from else { return StateWord.debtMax }
    let (quotient, remainder) = from.dividingFullWidth(product)
    return min(quotient, StateWord.debtMax - 1) + (remainder > 0 ? 1 : 0)
  }

  /// A token bucket's word.
  ///
  /// One that is full when the rules change and whose units come back as before says the same until then: the instant of
  /// the change may lie ahead of the clock.
  static func tokenBucket(
    _ word: StateWord, from former: Rule, to rule: Rule, changedAt: UInt64
  ) -> StateWord {
    let owed = word.debt(at: changedAt)
    if owed == 0, former.period == rule.period { return word.with(head: rule.head) }
    return .tokenBucket(rule.head, tat: changedAt + debt(owed, from: former, to: rule))
  }

  /// What a window counted: what queries took, but no more than the limit, and what settling booked.
  private static func count(_ count: UInt64, from former: Rule, to rule: Rule) -> UInt64 {
    let taken = min(count, former.capacity)
    return min(taken, rule.capacity) + (count - taken)
  }

  /// Both words of a sliding window.
  ///
  /// Of the same length, each window keeps its count. Of another, all that was in view when the rules
  /// changed counts in full in the window that lay there then: until it is out of view, two windows at
  /// most.
  static func window(
    _ current: StateWord, previous: StateWord, from former: Rule, to rule: Rule, changedAt: UInt64
  ) -> (current: StateWord, previous: StateWord) {
    let hasPrevious =
      previous.isWindow && previous.tick == current.tick && !current.isFrozen
    if former.period == rule.period {
      let word = StateWord.window(
        rule.head, expiry: current.tick, count: count(current.count, from: former, to: rule))
      let before =
        previous.head == rule.head
        ? previous.count : count(previous.count, from: former, to: rule)
      return (
        current.isFrozen ? word.frozen : word,
        hasPrevious ? .window(rule.head, expiry: current.tick, count: before) : previous
      )
    }
    let length = former.period
    let end = SlidingWindow.start(of: current.tick, window: length, near: changedAt) + 2 * length
    guard end > changedAt else {
      return (rule.unusedState(at: Instant(nanoseconds: changedAt)), .empty)
    }
    let isInView = hasPrevious && previous.head == current.head && end - length > changedAt
    let before = isInView ? previous.count : 0
    let booked =
      current.count - min(current.count, former.capacity) + before - min(before, former.capacity)
    let taken = min(current.count + before - booked, rule.capacity)
    let start = changedAt - changedAt % rule.period
    return (
      .window(
        rule.head, expiry: Tick(atOrAfter: start + 2 * rule.period),
        count: min(taken + booked, StateWord.countMax)), .empty
    )
  }
}
