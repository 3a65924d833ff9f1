// The permits that one connection holds. One thread uses a table.

import LimitEngine

/// Permits by number. A number tells a permit from those that stood in its place before, so that
/// releasing one twice hits no other.
struct PermitTable: ~Copyable {
  private struct Entry: ~Copyable {
    var permit: Permit?
    /// How many permits stood here; the upper half of the number.
    var uses: UInt32
    /// While free: the next free place, or -1.
    var next: Int32
  }

  private var entries: UnsafeMutablePointer<Entry>?
  private var capacity = 0
  private var firstFree: Int32 = -1
  private let countMax: Int
  /// Permits held.
  private(set) var count = 0

  init(countMax: Int) { self.countMax = countMax }

  deinit {
    precondition(count == 0, "permits are released before their connection is forgotten")
    entries?.deinitialize(count: capacity)
    entries?.deallocate()
  }

  /// Bytes allocated, all of which were reserved.
  var byteCount: Int { capacity * MemoryLayout<Entry>.stride }

  /// Sees to room for `wanted` permits. Amortised O(1); allocates when more are held than ever
  /// before.
  ///
  /// - Parameters:
  ///   - wanted: at most the table's most.
  ///   - account: pays for the memory.
  /// - Returns: whether there is room.
  mutating func reserve(_ wanted: Int, _ account: UserAccount) -> Bool {
    guard wanted > capacity else { return true }
    var grown = max(8, capacity)
    while grown < wanted { grown *= 2 }
    grown = min(grown, countMax)
    guard account.reserve((grown - capacity) * MemoryLayout<Entry>.stride) else { return false }
    grow(to: grown)
    return true
  }

  /// Keeps a permit. O(1).
  ///
  /// - Precondition: there is room, which `reserve` saw to.
  /// - Returns: the permit's number, never 0.
  mutating func insert(_ permit: consuming Permit) -> UInt64 {
    precondition(firstFree >= 0, "a place is reserved before a permit is asked for")
    let place = firstFree
    let entry = entries.unsafelyUnwrapped + Int(place)
    firstFree = entry.pointee.next
    entry.pointee.permit = consume permit
    entry.pointee.uses &+= 1
    count += 1
    return UInt64(entry.pointee.uses) << 32 | UInt64(place + 1)
  }

  /// The permit of that number, which the table then forgets; `nil` where it holds none.
  mutating func remove(_ number: UInt64) -> Permit? {
    let place = Int(number & 0xFFFF_FFFF) - 1
    guard place >= 0, place < capacity else { return nil }
    let entry = entries.unsafelyUnwrapped + place
    guard UInt64(entry.pointee.uses) == number >> 32 else { return nil }
    guard let permit = entry.pointee.permit.take() else { return nil }
    entry.pointee.next = firstFree
    firstFree = Int32(place)
    count -= 1
    return permit
  }

  /// Returns every permit to the engine.
  mutating func releaseAll(to engine: Engine) {
    for place in 0..<capacity where count > 0 {
      guard let permit = entries.unsafelyUnwrapped[place].permit.take() else { continue }
      engine.release(permit)
      count -= 1
    }
    firstFree = -1
    for place in stride(from: capacity - 1, through: 0, by: -1) {
      entries.unsafelyUnwrapped[place].next = firstFree
      firstFree = Int32(place)
    }
  }

  private mutating func grow(to grown: Int) {
    let memory = UnsafeMutablePointer<Entry>.allocate(capacity: grown)
    if let entries {
      memory.moveInitialize(from: entries, count: capacity)
      entries.deallocate()
    }
    for place in stride(from: grown - 1, through: capacity, by: -1) {
      (memory + place).initialize(to: Entry(permit: nil, uses: 0, next: firstFree))
      firstFree = Int32(place)
    }
    entries = memory
    capacity = grown
  }
}
