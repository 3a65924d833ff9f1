// The sliding window counter: the count of the current window, plus that of the previous one
// weighted by the part of it still in view. Windows start at multiples of their length on the
// engine's clock.
//
// Two words, {expiry, count} each: `current`, and `previous`, which counts only while its expiry
// equals that of `current`. A window's expiry is the end of the window after it: when its count
// leaves view. Rolling on takes three stores, which any thread can go on with: `current` is frozen,
// so that its count is final; that count is published in `previous` for the new window; `current`
// is swung to the new window. `view` reads any state in between. The table does the stores
// (BucketTable+Charge.swift).

/// The sliding window algorithm.
public enum SlidingWindow {
  /// What a sliding window is made of.
  public struct Parameters: Hashable, Sendable, BitwiseCopyable {
    /// The largest limit: 2^34 − 3 units (17,179,869,181).
    public static let limitMax: UInt64 = (1 << 34) - 3
    /// The shortest window: 1 s, more than one tick, so that every window has a tick of its own.
    public static let windowMin = Nanoseconds.second
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
    /// Whether the stored window must be rolled on to this one before it can be charged.
    var rolls: Bool
    /// Whether that window has not begun at `now`: another thread's clock reading was later.
    var isAhead: Bool
  }

  /// Reads the two words at `now`.
  ///
  /// - Parameters:
  ///   - current: a window of this length, or `empty`.
  ///   - previous: read while `current` was what it is.
  @inline(__always) static func view(
    current word: StateWord, previous: StateWord, window divisor: FastDivisor, now: UInt64
  ) -> View {
    let window = divisor.value
    let start = divisor.quotient(of: now) &* window
    let elapsed = now &- start
    let expiry = Tick(atOrAfter: start &+ 2 &* window)
    if word.tick == expiry, word.isWindow, !word.isFrozen {
      return View(
        current: word.count, previous: previous.isSameWindow(as: word) ? previous.count : 0,
        elapsed: elapsed, expiry: expiry, rolls: false, isAhead: false)
    }
    return unusualView(current: word, previous: previous, window: window, now: now)
  }

  /// The view where the stored window is not the one that `now` lies in, or is being rolled on.
  @inline(never) private static func unusualView(
    current word: StateWord, previous: StateWord, window: UInt64, now: UInt64
  ) -> View {
    let elapsed = now % window
    let start = now - elapsed
    let expiry = Tick(atOrAfter: start + 2 * window)
    let stored = word.tick
    if word == .empty || stored.distance(after: Tick(atOrAfter: start)) <= 0 {
      // Out of view: as if never used.
      return View(
        current: 0, previous: 0, elapsed: elapsed, expiry: expiry, rolls: false, isAhead: false)
    }
    if stored == Tick(atOrAfter: start + window) {
      // The window before this one: its count becomes the previous one.
      return View(
        current: 0, previous: word.count, elapsed: elapsed, expiry: expiry, rolls: true,
        isAhead: false)
    }
    let isLater = stored.distance(after: expiry) >= 0
    if isLater && word.isFrozen {
      // Another thread, whose clock reading is later than ours, is rolling on: decide as of the
      // start of the window that it rolls to. Time does not go back for a bucket.
      return View(
        current: 0, previous: word.count, elapsed: 0,
        expiry: following(stored, window: window, near: now), rolls: true, isAhead: true)
    }
    let before = previous.isSameWindow(as: word) ? previous.count : 0
    if isLater {
      // A window that a later clock reading has begun: decide as of its start.
      return View(
        current: word.count, previous: before, elapsed: 0, expiry: stored, rolls: false,
        isAhead: true)
    }
    // Of another length, which nobody told us of: all that is in view counts in full.
    return View(
      current: min(word.count + before, StateWord.countMax), previous: 0, elapsed: elapsed,
      expiry: expiry, rolls: false, isAhead: false)
  }

  /// When a window begins, in ns, that expires at the instant that `expiry` stands for near `now`:
  /// windows are longer than ticks, so there is one.
  static func start(of expiry: Tick, window: UInt64, near now: UInt64) -> UInt64 {
    let end = expiry.start(near: now)
    return end - end % window - min(2 * window, end - end % window)
  }

  /// The expiry of the window after the one that expires at `expiry`.
  static func following(_ expiry: Tick, window: UInt64, near now: UInt64) -> Tick {
    Tick(atOrAfter: start(of: expiry, window: window, near: now) + 3 * window)
  }

  /// Decides a query of `cost` units against what is in view.
  ///
  /// - Parameter head: `Rule.head`.
  @inline(__always) static func decide(
    _ view: View, head: UInt8, limit: UInt64, window: UInt64, cost: UInt64, intent: Intent
  ) -> Verdict {
    guard cost <= limit else {
      var verdict = verdict(.never, .empty, view, current: view.current, limit, window)
      verdict.retryAfter = Decision.noWait.count
      return verdict
    }
    guard fits(view, limit: limit, window: window, cost: cost) else {
      var verdict = verdict(.deny, .empty, view, current: view.current, limit, window)
      verdict.retryAfter = retryAfter(view, limit: limit, window: window, cost: cost)
      return verdict
    }
    let next = StateWord.window(head, expiry: view.expiry, count: view.current &+ cost)
    let shown = intent == .peek ? view.current : view.current &+ cost
    return verdict(.allow, next, view, current: shown, limit, window)
  }

  /// The word after `cost` units were counted whether they fit or not, as far as a word counts.
  static func book(_ view: View, head: UInt8, cost: UInt64) -> StateWord {
    let room = StateWord.countMax - view.current
    return .window(head, expiry: view.expiry, count: view.current + min(cost, room))
  }

  /// Counts are below 2^35 and windows below 2^52, so that the 128-bit products are exact.
  @inline(__always) private static func fits(
    _ view: View, limit: UInt64, window: UInt64, cost: UInt64
  ) -> Bool {
    guard view.current &+ cost <= limit else { return false }
    if view.previous == 0 { return true }
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
  /// The window that a charge was counted in, by its expiry, and the expiry of the one after it.
  struct Charge {
    var expiry: Tick
    var following: Tick

    /// The window in which `instant` lies.
    init(at instant: Instant, window: UInt64) {
      let start = instant.nanoseconds - instant.nanoseconds % window
      expiry = Tick(atOrAfter: start + 2 * window)
      following = Tick(atOrAfter: start + 3 * window)
    }

    /// The window that expires at `expiry`, near `now`.
    init(expiring expiry: Tick, window: UInt64, near now: UInt64) {
      self.expiry = expiry
      following = SlidingWindow.following(expiry, window: window, near: now)
    }
  }

  /// Which of a bucket's words holds a charge.
  enum Place {
    case current
    case previous
    case outOfView
    /// The bucket is being rolled on: finish that first.
    case rolling
  }

  /// Where a charge is counted now.
  static func place(of charge: Charge, current: StateWord, previous: StateWord) -> Place {
    guard current.isWindow else { return .outOfView }
    if current.isFrozen { return .rolling }
    if current.tick == charge.expiry { return .current }
    return current.tick == charge.following && previous.isSameWindow(as: current)
      ? .previous : .outOfView
  }

  /// `word` with `cost` units fewer, never below none.
  static func giveBack(_ word: StateWord, cost: UInt64) -> StateWord {
    word.with(count: word.count - min(cost, word.count))
  }
}
