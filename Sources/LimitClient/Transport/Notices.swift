// What an observer is yet to be told. Guarded by its channel's lock.

/// One thing that an observer is told.
enum Notice: Equatable {
  case away(LimitClientError)
  case back
  case lost(Int)

  var isLoss: Bool {
    if case .lost = self { return true }
    return false
  }
}

/// Notices in their order; no more wait than `countMax`, however long the observer takes for one.
struct Notices {
  static let countMax = 32

  private var waiting: [Notice] = []

  var isEmpty: Bool { waiting.isEmpty }

  /// O(1); O(`countMax`) where so many wait.
  mutating func append(_ notice: Notice) {
    waiting.append(notice)
    if waiting.count > Self.countMax { shorten() }
  }

  /// Takes all.
  mutating func take() -> [Notice] {
    defer { waiting = [] }
    return waiting
  }

  /// Leaves out that the daemon went and came back, or the other way round, the longest ago; the permits that
  /// were lost then are told with those that were next.
  private mutating func shorten() {
    for _ in 0..<2 {
      if let oldest = waiting.firstIndex(where: { !$0.isLoss }) { waiting.remove(at: oldest) }
    }
    let losses = waiting.indices.filter { waiting[$0].isLoss }
    if losses.count > 1, case .lost(let first) = waiting[losses[0]],
      case .lost(let second) = waiting[losses[1]]
    {
      waiting[losses[1]] = .lost(first + second)
      waiting.remove(at: losses[0])
    }
  }
}
