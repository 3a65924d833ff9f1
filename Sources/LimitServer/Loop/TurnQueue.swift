// Whose turn it is: users share an event loop's time, and each user's connections share the user's.
//
//     users      ┌▶ A ─▶ B ─▶ C ┐      a ring: each has one connection's turn, then goes to the end
//                └──────────────┘
//     of A       a1 ─▶ a2 ─▶ … ─▶ a1000       likewise
//
// So a user with a thousand busy connections delays another's by one turn, not by a thousand. Who comes
// anew goes to the front where his last turn is longer ago than that of the user there, and else to the
// end: so none has two turns while another waits, and who asks now and then does not wait for the turn
// of one who always has something to do.
// Linked through numbers, not pointers: a connection is known by its place, a user by a slot.

/// Connections that have something to do, in the order of their turns. One thread uses it.
struct TurnQueue: ~Copyable {
  struct Member: BitwiseCopyable {
    var user: Int32 = -1
    var next: Int32 = -1
    var previous: Int32 = -1
    var isQueued = false
  }

  struct User: BitwiseCopyable {
    var id: UInt32
    /// The number of his last turn.
    var lastTurn: UInt64
    /// Connections, queued or not; a slot without any is free.
    var memberCount = 0
    var first: Int32 = -1
    var last: Int32 = -1
    /// The next user in the ring.
    var next: Int32 = -1
    var previous: Int32 = -1
  }

  private var members = PlaceMemory<Member>()
  private var users = PlaceMemory<User>()
  private var freeUsers: [Int32] = []
  private var slots: [UInt32: Int32] = [:]
  private var firstUser: Int32 = -1
  private var lastUser: Int32 = -1
  /// Turns given so far; the last one's number.
  private var turnCount: UInt64 = 0

  /// Users that have connections, busy or not.
  var userCount: Int { slots.count }
  /// Connections that are queued.
  private(set) var count = 0

  @inline(__always) var isEmpty: Bool { firstUser < 0 }

  /// Whether a connection of another user than `userID` is queued. O(1).
  func hasOthers(than userID: UInt32) -> Bool {
    firstUser >= 0 && (firstUser != lastUser || users[firstUser].pointee.id != userID)
  }

  /// Takes in a connection of a user. Amortised O(1), may allocate.
  mutating func join(_ place: Int, of userID: UInt32) {
    while members.count <= place { members.append(Member()) }
    let slot = slots[userID] ?? makeUser(userID)
    users[slot].pointee.memberCount += 1
    members[place].pointee = Member(user: slot)
  }

  private mutating func makeUser(_ id: UInt32) -> Int32 {
    let slot: Int32
    // As if he had just had a turn: coming back again and again is no way to the front.
    let user = User(id: id, lastTurn: turnCount)
    if let free = freeUsers.popLast() {
      slot = free
      users[slot].pointee = user
    } else {
      slot = Int32(users.count)
      users.append(user)
    }
    slots[id] = slot
    return slot
  }

  /// Forgets a connection, queued or not. O(1).
  mutating func leave(_ place: Int) {
    if members[place].pointee.isQueued { remove(Int32(place)) }
    let slot = members[place].pointee.user
    members[place].pointee = Member()
    users[slot].pointee.memberCount -= 1
    guard users[slot].pointee.memberCount == 0 else { return }
    slots[users[slot].pointee.id] = nil
    freeUsers.append(slot)
  }

  /// Queues a connection behind its user's others, and a user who has none queued among the users; a
  /// connection that is queued stays where it is. O(1).
  @inline(__always) mutating func add(_ place: Int) {
    guard !members[place].pointee.isQueued else { return }
    let slot = members[place].pointee.user
    let last = users[slot].pointee.last
    members[place].pointee.isQueued = true
    members[place].pointee.previous = last
    members[place].pointee.next = -1
    if last < 0 {
      users[slot].pointee.first = Int32(place)
      insert(user: slot)
    } else {
      members[last].pointee.next = Int32(place)
    }
    users[slot].pointee.last = Int32(place)
    count &+= 1
  }

  /// Takes the connection whose turn it is; its user goes to the end of the ring. O(1).
  @inline(__always) mutating func next() -> Int? {
    guard firstUser >= 0 else { return nil }
    let slot = firstUser
    let place = users[slot].pointee.first
    turnCount &+= 1
    users[slot].pointee.lastTurn = turnCount
    remove(place)
    if users[slot].pointee.first >= 0, slot != lastUser {
      unlink(user: slot)
      append(user: slot)
    }
    return Int(place)
  }

  @inline(__always) private mutating func remove(_ place: Int32) {
    let member = members[place].pointee
    let slot = Int(member.user)
    if member.previous < 0 {
      users[slot].pointee.first = member.next
    } else {
      members[member.previous].pointee.next = member.next
    }
    if member.next < 0 {
      users[slot].pointee.last = member.previous
    } else {
      members[member.next].pointee.previous = member.previous
    }
    members[place].pointee.isQueued = false
    count &-= 1
    if users[slot].pointee.first < 0 { unlink(user: member.user) }
  }

  @inline(__always) private mutating func insert(user slot: Int32) {
    guard firstUser >= 0, users[slot].pointee.lastTurn < users[firstUser].pointee.lastTurn else {
      return append(user: slot)
    }
    users[slot].pointee.previous = -1
    users[slot].pointee.next = firstUser
    users[firstUser].pointee.previous = slot
    firstUser = slot
  }

  @inline(__always) private mutating func append(user slot: Int32) {
    users[slot].pointee.previous = lastUser
    users[slot].pointee.next = -1
    if lastUser < 0 { firstUser = slot } else { users[lastUser].pointee.next = slot }
    lastUser = slot
  }

  @inline(__always) private mutating func unlink(user slot: Int32) {
    let user = users[slot].pointee
    if user.previous < 0 {
      firstUser = user.next
    } else {
      users[user.previous].pointee.next = user.next
    }
    if user.next < 0 {
      lastUser = user.previous
    } else {
      users[user.next].pointee.previous = user.previous
    }
  }
}
