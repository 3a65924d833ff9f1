// The sliding window counter: the count of the current window, plus that of the previous one
// weighted by the part of it still in view. Windows start at multiples of their length on the
// engine's clock.
//
// Two words, {expiry, count} each: `current`, and `previous`, which counts only while its expiry
// equals that of `current`. A window's expiry is the end of the window after it: when its count
// leaves view. Rolling on publishes `previous` for the new window first and then swings `current`;
// `view` reads any state in between. The table does the two stores (BucketTable+Charge.swift).

/// The sliding window algorithm.
public enum SlidingWindow {
  /// What a sliding window is made of.
  public struct Parameters: Hashable, Sendable, BitwiseCopyable {
    /// The largest limit: 2^34 − 3 units (17,179,869,181), what a state word's count holds.
    public static let limitMax = StateWord.countMax
    /// The shortest window: 100 ms, more than one tick, so that every window has a tick of its own.
    public static let windowMin = Nanoseconds(100_000_000)
    /// The longest window: 31 days; two of them are less than the 104 days that ticks can compare.
    public static let windowMax = Nanoseconds(31 * Nanoseconds.day.count)

    /// Units per window, 1 ... `limitMax`.
    public let limit: UInt64
    /// The window's length, `windowMin` ... `windowMax`.
    public let window: Nanoseconds

    /// `nil` where a parameter is out of range.
    public init?(limit: UInt64, window: Nanoseconds) {
      guard (1...Self.limitMax).contains(limit) else { return nil }
      guard (Self.windowMin...Self.windowMax).contains(window) else { return nil }
      self.limit = limit
      self.window = window
    }
  }

  /// A bucket's two words as one thread sees them at its `now`.
  struct View {
    /// Units counted in the window that a charge goes to.
    var current: UInt64
    /// Units counted in the window before it.
    var previous: UInt64
    /// Nanoseconds since that window began.
    var elapsed: UInt64
    /// That window's expiry.
    var expiry: Tick
    /// Whether `previous` must be published under `expiry` before `current` may be swung to it.
    var rolls: Bool
  }

  /// Reads the two words at `now`.
  @inline(__always) static func view(
    current word: StateWord, previous: StateWord, window: UInt64, now: UInt64
  ) -> View {
    let elapsed = now % window
    let start = now &- elapsed
    let expiry = Tick(atOrAfter: start &+ 2 &* window)
    guard word != .empty else {
      return View(current: 0, previous: 0, elapsed: elapsed, expiry: expiry, rolls: false)
    }
    let stored = word.tick
    if stored == expiry, !previous.isWindow || previous.tick.distance(after: stored) <= 0 {
      return View(
        current: word.count, previous: count(of: previous, under: stored), elapsed: elapsed,
        expiry: expiry, rolls: false)
    }
    return unusualView(
      current: word, previous: previous, start: start, elapsed: elapsed, window: window)
  }

  /// The view where the stored window is not the one that `now` lies in.
  @inline(never) private static func unusualView(
    current word: StateWord, previous: StateWord, start: UInt64, elapsed: UInt64, window: UInt64
  ) -> View {
    let stored = word.tick
    let expiry = Tick(atOrAfter: start + 2 * window)
    if stored.distance(after: Tick(atOrAfter: start)) <= 0 {
      // Out of view: as if never used.
      return View(current: 0, previous: 0, elapsed: elapsed, expiry: expiry, rolls: false)
    }
    if stored == Tick(atOrAfter: start + window) {
      // The window before this one: its count becomes the previous one.
      return View(current: 0, previous: word.count, elapsed: elapsed, expiry: expiry, rolls: true)
    }
    if previous.isWindow, previous.tick.distance(after: stored) > 0 {
      // Another thread, whose clock reading is later than ours, is rolling on: finish its roll,
      // and decide as of the start of the window it rolls to. Time does not go back for a bucket.
      return View(current: 0, previous: word.count, elapsed: 0, expiry: previous.tick, rolls: true)
    }
    let before = count(of: previous, under: stored)
    if stored.distance(after: expiry) >= 0 {
      // A window that a later clock reading has begun (or a longer one, before its length was
      // changed): decide as of its start.
      return View(
        current: word.count, previous: before, elapsed: stored == expiry ? elapsed : 0,
        expiry: stored, rolls: false)
    }
    // Stored under a shorter window length: all that is in view counts in full.
    return View(
      current: min(word.count + before, StateWord.countMax), previous: 0, elapsed: elapsed,
      expiry: expiry, rolls: false)
  }

  @inline(__always) private static func count(of previous: StateWord, under expiry: Tick) -> UInt64
  { previous.isWindow && previous.tick == expiry ? previous.count : 0 }

  /// Decides a query of `cost` units: admits when
  /// previous × (W − elapsed) + (current + cost) × W ≤ limit × W, in exact arithmetic.
  @inline(__always) static func decide(
    _ view: View, limit: UInt64, window: UInt64, cost: UInt64, intent: Intent
  ) -> Verdict {
    let unchanged = StateWord.window(expiry: view.expiry, count: view.current)
    guard cost <= limit else {
      return verdict(.never, unchanged, view, current: view.current, limit, window)
    }
    guard fits(view, limit: limit, window: window, cost: cost) else {
      var denied = verdict(.deny, unchanged, view, current: view.current, limit, window)
      denied.retryAfter = retryAfter(view, limit: limit, window: window, cost: cost)
      return denied
    }
    let charged = view.current &+ cost
    return verdict(
      .allow, .window(expiry: view.expiry, count: charged), view,
      current: intent == .peek ? view.current : charged, limit, window)
  }

  /// Counts are below 2^34 and windows below 2^52, so that the 128-bit products are exact.
  @inline(__always) private static func fits(
    _ view: View, limit: UInt64, window: UInt64, cost: UInt64
  ) -> Bool {
    guard view.current &+ cost <= limit else { return false }
    let inView = view.previous.multipliedFullWidth(by: window &- view.elapsed)
    let room = (limit &- view.current &- cost).multipliedFullWidth(by: window)
    return (inView.high, inView.low) <= (room.high, room.low)
  }

  @inline(__always) private static func verdict(
    _ outcome: Decision.Outcome, _ next: StateWord, _ view: View, current: UInt64, _ limit: UInt64,
    _ window: UInt64
  ) -> Verdict {
    let still = window &- view.elapsed
    var used = current
    if view.previous > 0 { used &+= divideUp(view.previous, by: window, times: still) }
    return Verdict(
      outcome: outcome, next: next, remaining: used >= limit ? 0 : limit &- used, retryAfter: 0,
      resetAfter: current > 0 ? still &+ window : view.previous > 0 ? still : 0)
  }

  /// The least wait after which `cost`, denied now, fits if nothing else comes.
  @inline(never) private static func retryAfter(
    _ view: View, limit: UInt64, window: UInt64, cost: UInt64
  ) -> UInt64 {
    let still = window - view.elapsed
    if view.current + cost <= limit {
      // Within this window, or at its end: previous × (W − e) must shrink to what is free.
      let weight = divideDown(limit - view.current - cost, by: view.previous, times: window)
      return still - weight
    }
    // Within the next window, where today's count is the previous one.
    let weight = divideDown(limit - cost, by: view.current, times: window)
    return still + (window - weight)
  }

  /// floor(value × factor / divisor). The quotient fits: it is below `factor` at every call.
  private static func divideDown(_ value: UInt64, by divisor: UInt64, times factor: UInt64)
    -> UInt64
  { divisor.dividingFullWidth(value.multipliedFullWidth(by: factor)).quotient }

  /// ceil(value × factor / divisor), with factor ≤ divisor.
  @inline(__always) private static func divideUp(
    _ value: UInt64, by divisor: UInt64, times factor: UInt64
  ) -> UInt64 {
    let (quotient, remainder) = divisor.dividingFullWidth(value.multipliedFullWidth(by: factor))
    return quotient &+ (remainder > 0 ? 1 : 0)
  }
}

extension SlidingWindow {
  /// What is known of a charge that is to be given back.
  enum Charge {
    /// When it was decided. A reading of the clock that came late may have been charged to a later
    /// window than the one it lies in; then too little is given back, never too much.
    case decided(at: Instant)
    /// The expiry of the window that was charged.
    case expiring(Tick)
  }

  /// Which of a bucket's words holds a charge.
  enum Place { case current, previous, outOfView }

  /// Where a charge is counted now.
  static func place(of charge: Charge, current: StateWord, previous: StateWord, window: UInt64)
    -> Place
  {
    guard current.isWindow else { return .outOfView }
    switch charge {
    case .expiring(let expiry): return current.tick == expiry ? .current : .outOfView
    case .decided(let instant):
      let start = instant.nanoseconds - instant.nanoseconds % window
      if current.tick == Tick(atOrAfter: start + 2 * window) { return .current }
      let following = Tick(atOrAfter: start + 3 * window)
      return current.tick == following && previous.isWindow && previous.tick == following
        ? .previous : .outOfView
    }
  }

  /// `word` with `cost` units fewer, never below none.
  static func refund(_ word: StateWord, cost: UInt64) -> StateWord {
    .window(expiry: word.tick, count: word.count - min(cost, word.count))
  }
}
