// epoll(7).

import CLinux
import Glibc

/// An epoll instance and room for its events. One thread waits; it owns the poller.
package struct Poller: ~Copyable, @unchecked Sendable {
  /// What happened, as bits.
  package struct Events: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static var input: Events { Events(rawValue: limitd_epoll_in) }
    package static var output: Events { Events(rawValue: limitd_epoll_out) }
    /// The peer writes no more.
    package static var peerClosed: Events { Events(rawValue: limitd_epoll_peer_closed) }
    /// Report a change once, not again for as long as it lasts.
    package static var edge: Events { Events(rawValue: limitd_epoll_edge) }
    /// Report once, then nothing until the registration is changed.
    package static var oneShot: Events { Events(rawValue: limitd_epoll_one_shot) }
    /// Reported whether asked for or not.
    package static var hangUp: Events { Events(rawValue: limitd_epoll_hang_up) }
    /// Reported whether asked for or not.
    package static var error: Events { Events(rawValue: limitd_epoll_error) }

    /// By bits, as all below: `union` or a literal of several is made by code that is not specialised across modules,
    /// and takes 2,400 instructions.
    package static func | (left: Events, right: Events) -> Events {
      Events(rawValue: left.rawValue | right.rawValue)
    }

    /// The peer writes no more, or the connection is over.
    package var areOfAnEnd: Bool {
      rawValue & (limitd_epoll_peer_closed | limitd_epoll_hang_up | limitd_epoll_error) != 0
    }

    /// The descriptor takes more, or the connection is over.
    package var allowOutput: Bool {
      rawValue & (limitd_epoll_out | limitd_epoll_hang_up | limitd_epoll_error) != 0
    }
  }

  package static var eventsMax: Int { 256 }

  private let epoll: Descriptor
  private let room: UnsafeMutablePointer<epoll_event>

  package init() throws(SystemError) {
    epoll = try Descriptor(epoll_create1(O_CLOEXEC))
    room = .allocate(capacity: Self.eventsMax)
  }

  deinit { room.deallocate() }

  /// - Parameter token: what `event` gives back.
  package func add(_ descriptor: Int32, _ events: Events, token: UInt64) throws(SystemError) {
    guard limitd_epoll_control(epoll.number, EPOLL_CTL_ADD, descriptor, events.rawValue, token) == 0
    else { throw .last() }
  }

  package func change(_ descriptor: Int32, _ events: Events, token: UInt64) {
    let status = limitd_epoll_control(
      epoll.number, EPOLL_CTL_MOD, descriptor, events.rawValue, token)
    precondition(status == 0, "a registered descriptor can be changed: \(SystemError.last())")
  }

  package func remove(_ descriptor: Int32) {
    _ = limitd_epoll_control(epoll.number, EPOLL_CTL_DEL, descriptor, 0, 0)
  }

  /// Waits for events; 0 where time is up or a signal came.
  ///
  /// - Parameter milliseconds: -1 waits for ever.
  package func wait(milliseconds: Int32) -> Int {
    max(0, Int(limitd_epoll_wait(epoll.number, room, Int32(Self.eventsMax), milliseconds)))
  }

  /// - Precondition: `place` is below what `wait` returned.
  package func event(_ place: Int) -> (token: UInt64, events: Events) {
    (room[place].data.u64, Events(rawValue: room[place].events))
  }
}
