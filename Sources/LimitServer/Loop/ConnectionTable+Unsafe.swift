// The connections of one event loop, by number.

/// Connections in places that do not move. One thread uses it.
///
/// A token names a connection for the poller: its place, and how many connections stood there
/// before, so that an event for one that is gone is recognised.
struct ConnectionTable: ~Copyable {
  private struct Place {
    var connection: UnsafeMutablePointer<Connection>?
    var uses: UInt32
  }

  private var places: [Place] = []
  private var free: [Int] = []
  private(set) var count = 0

  deinit {
    for place in places {
      place.connection?.deinitialize(count: 1)
      place.connection?.deallocate()
    }
  }

  /// - Returns: the token, never 0.
  mutating func insert(_ connection: consuming Connection) -> UInt64 {
    let memory = UnsafeMutablePointer<Connection>.allocate(capacity: 1)
    memory.initialize(to: connection)
    let place: Int
    if let reused = free.popLast() {
      place = reused
    } else {
      place = places.count
      places.append(Place(connection: nil, uses: 0))
    }
    places[place].connection = memory
    places[place].uses &+= 1
    count += 1
    return UInt64(place + 1) << 32 | UInt64(places[place].uses)
  }

  /// The connection, where it is still there.
  @inline(__always) subscript(token: UInt64) -> UnsafeMutablePointer<Connection>? {
    let place = Self.place(of: token)
    guard place >= 0, place < places.count, places[place].uses == UInt32(truncatingIfNeeded: token)
    else { return nil }
    return places[place].connection
  }

  /// Which place a token names, whoever stands there.
  @inline(__always) static func place(of token: UInt64) -> Int { Int(token >> 32) - 1 }

  /// - Precondition: a connection stands there.
  @inline(__always) func connection(at place: Int) -> UnsafeMutablePointer<Connection> {
    places[place].connection!
  }

  /// - Precondition: a connection stands there.
  @inline(__always) func token(at place: Int) -> UInt64 {
    UInt64(place + 1) << 32 | UInt64(places[place].uses)
  }

  /// Closes and forgets a connection.
  mutating func remove(_ token: UInt64) {
    guard let connection = self[token] else { return }
    let place = Self.place(of: token)
    connection.deinitialize(count: 1)
    connection.deallocate()
    places[place].connection = nil
    free.append(place)
    count -= 1
  }

  /// The tokens of all connections.
  var tokens: [UInt64] {
    places.enumerated().compactMap { place, entry in
      entry.connection == nil ? nil : token(at: place)
    }
  }
}
